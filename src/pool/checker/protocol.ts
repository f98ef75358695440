/** The messages between the main thread and the checker thread. All of them are plain data. */
import type { MessagePort } from "node:worker_threads";
import type { Payload } from "../../job/job.ts";
import type { Source, Sources } from "../module-hooks.ts";
import type { Surroundings } from "../tasks/definition.ts";
import type { FileReport } from "../tasks/report.ts";
import type { CheckInput, Verdict } from "./checks.ts";

/** The data passed to the thread when it starts. */
export type CheckerData = {
  /** A separate port, because task files may use the thread's own. */
  readonly port: MessagePort;
  /** URLs of the task files, in the order in which they are loaded. */
  readonly files: readonly string[];
  readonly surroundings: Surroundings;
  /** Files that earlier threads have read, which are not read again. Null: files are not recorded. */
  readonly sources: Sources | null;
  /** The number of the request whose inputs are checked, 0 for none, and the index of the input. */
  readonly progress: Int32Array<SharedArrayBuffer>;
};

/** Inputs to check. Their bytes are concatenated in `bytes`, which is transferred. */
export type CheckRequest = {
  /** Unique, from 1. */
  readonly number: number;
  readonly inputs: readonly (readonly [task: string, kind: Payload["kind"] | null, end: number])[];
  readonly bytes: Uint8Array;
};

export type FromChecker =
  /** Sent before the file runs, unless `sources` is null. */
  | { readonly kind: "read"; readonly url: string; readonly source: Source }
  /** Sent before the file is imported, so that a file whose import never returns is known. */
  | { readonly kind: "loading"; readonly file: number }
  | { readonly kind: "loaded"; readonly file: number; readonly report: FileReport }
  /** Every file was imported, and nothing threw meanwhile. */
  | { readonly kind: "ready" }
  /** An uncaught error in the code of a file; null: unknown which. Sent once per file. */
  | { readonly kind: "threw"; readonly file: number | null; readonly message: string; readonly stack: string }
  /** The thread is about to end because code of a file called `process.exit`. */
  | { readonly kind: "exiting"; readonly code: number; readonly stack: string }
  /** The thread is about to end because an import waits for something that can never happen. */
  | { readonly kind: "stalled" }
  | {
      readonly kind: "checked";
      readonly number: number;
      /** Number of inputs, from the first, that were checked in this turn. */
      readonly count: number;
      /** Verdicts of the invalid inputs. */
      readonly verdicts: readonly (readonly [index: number, verdict: Verdict])[];
    };

/** Packs inputs into one buffer: objects with a buffer each cost far more to send. */
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
