/** The messages between the main thread and the checker thread. All of them are plain data. */
import type { MessagePort } from "node:worker_threads";
import type { Payload } from "../../job/job.ts";
import type { Source, Sources } from "../module-hooks.ts";
import type { Surroundings } from "../tasks/definition.ts";
import type { FileReport } from "../tasks/report.ts";
import type { CheckInput, Verdict } from "./checks.ts";

/** What the thread is given when it starts. */
export type CheckerData = {
  /** A port of its own: task files may use the thread's. */
  readonly port: MessagePort;
  /** URLs of the task files, in the order in which they are loaded. */
  readonly files: readonly string[];
  readonly surroundings: Surroundings;
  /** What earlier threads have read, which is not read again. Null: it is not recorded. */
  readonly sources: Sources | null;
  /** The number of the request whose inputs are checked, 0 for none, and the index of the input. */
  readonly progress: Int32Array<SharedArrayBuffer>;
};

/** Inputs to check. Their bytes lie one after the other in `bytes`, which is handed over. */
export type CheckRequest = {
  /** From 1; no two have the same. */
  readonly number: number;
  readonly inputs: readonly (readonly [task: string, kind: Payload["kind"] | null, end: number])[];
  readonly bytes: Uint8Array;
};

export type FromChecker =
  /** Comes before the file runs; unless `sources` is null. */
  | { readonly kind: "read"; readonly url: string; readonly source: Source }
  /** Comes before the file is imported, so that what never returns is known. */
  | { readonly kind: "loading"; readonly file: number }
  | { readonly kind: "loaded"; readonly file: number; readonly report: FileReport }
  /** Every file was imported, and nothing of them threw meanwhile. */
  | { readonly kind: "ready" }
  /** Code of a file, null when it is not known of which, threw where nothing catches it. Said once of each. */
  | { readonly kind: "threw"; readonly file: number | null; readonly message: string; readonly stack: string }
  /** The thread is about to end, since code of a file called `process.exit`. */
  | { readonly kind: "exiting"; readonly code: number; readonly stack: string }
  /** The thread is about to end, since an import waits for something that cannot come any more. */
  | { readonly kind: "stalled" }
  | {
      readonly kind: "checked";
      readonly number: number;
      /** How many of the inputs, from the first on, were checked before the turn was over. */
      readonly count: number;
      /** Of the inputs with which something is wrong. */
      readonly verdicts: readonly (readonly [index: number, verdict: Verdict])[];
    };

/** Packs inputs into one buffer: as objects with a buffer each they cost far more to pass on. */
export function requestOf(number: number, inputs: readonly CheckInput[]): CheckRequest {
  const size = inputs.reduce((total, { input }) => total + (input?.bytes.length ?? 0), 0);
  const bytes = new Uint8Array(size);
  let end = 0;
  const packed = inputs.map(({ task, input }): CheckRequest["inputs"][number] => {
    if (input) bytes.set(input.bytes, end);
    end += input?.bytes.length ?? 0;
    return [task, input?.kind ?? null, end];
  });
  return { number, inputs: packed, bytes };
}
