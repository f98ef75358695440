/**
 * Entry point of the checker thread: imports the users' task files, reports their definitions, and runs their checks.
 * Code of a file may throw, loop, or end the thread; see thread-start.ts for the other side.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { workerData } from "node:worker_threads";
import { systemClock as clock } from "../../clock.ts";
import type { Payload } from "../../job/job.ts";
import { hookModules } from "../module-hooks.ts";
import { textOf } from "../sanitize.ts";
import { createResourceReader } from "../resources/definition.ts";
import { thrownOf } from "../thrown.ts";
import { reportOf } from "../tasks/report.ts";
import { type Checkable, checkableOf, type Verdict, verdictOf } from "./checks.ts";
import type { CheckerData, CheckRequest, FromChecker } from "./protocol.ts";

const { port, files, surroundings, progress, sources } = workerData as CheckerData;
const maxStackChars = 4000;
/** A request whose checks take longer is answered in part, so that other clients get their turn. */
const turnMs = 10;

/** Index of the file whose code runs; inherited by everything that the code starts. */
const fileInCharge = new AsyncLocalStorage<number>();
const blamed = new Set<number | null>();
const tasks = new Map<string, Checkable & { readonly file: number }>();
/** Index of the file that is being imported; null when all are. */
let loading: number | null = 0;

const post = (message: FromChecker) => port.postMessage(message);
const stackHere = () => new Error().stack ?? "";

process.on("exit", (code) => post({ kind: "exiting", code, stack: stackHere() }));
process.on("uncaughtException", (error: unknown) => {
  const file = fileInCharge.getStore() ?? loading;
  if (blamed.has(file)) return;
  blamed.add(file);
  const stack = error instanceof Error ? textOf(error.stack, maxStackChars) : "";
  post({ kind: "threw", file, message: thrownOf(error).message, stack });
});

hookModules(sources ? { sources, onRead: (url, source) => post({ kind: "read", url, source }) } : {});
await load();
port.on("message", (request: CheckRequest) => {
  post(check(request));
});
post({ kind: "ready" });

/** Loads one file at a time, so that errors meanwhile can be attributed to it. */
async function load(): Promise<void> {
  // nothing of ours keeps the thread alive here: if an import waits for something that cannot happen, the thread ends
  const onStalled = () => {
    post({ kind: "stalled" });
    process.exit();
  };
  process.once("beforeExit", onStalled);
  const readResource = createResourceReader(surroundings.resourceSettings);
  for (const [index, file] of files.entries()) {
    loading = index;
    post({ kind: "loading", file: index });
    const report = await fileInCharge.run(index, () =>
      reportOf(file, surroundings, readResource, async (task, read) => {
        if (read.hasCheck) tasks.set(read.name, { ...(await checkableOf(task, read)), file: index });
      }),
    );
    post({ kind: "loaded", file: index, report });
  }
  await new Promise((resolve) => setImmediate(resolve)); // unhandled rejections are reported after a turn of the event loop
  process.off("beforeExit", onStalled);
  loading = null;
}

function check({ number, inputs, bytes }: CheckRequest): FromChecker {
  const verdicts: (readonly [number, Verdict])[] = [];
  const endMs = clock.monotonicMs() + turnMs;
  let count = 0;
  let start = 0;
  for (const [name, kind, end] of inputs) {
    Atomics.store(progress, 1, count);
    Atomics.store(progress, 0, number);
    const input: Payload | null = kind === null ? null : { kind, type: "", bytes: bytes.subarray(start, end) };
    const task = tasks.get(name) as Checkable & { readonly file: number }; // the main thread only sends tasks that were reported
    const verdict = fileInCharge.run(task.file, verdictOf, task, input);
    if (verdict !== undefined) verdicts.push([count, verdict]);
    start = end;
    count += 1;
    if (clock.monotonicMs() >= endMs) break;
  }
  Atomics.store(progress, 0, 0);
  return { kind: "checked", number, count, verdicts };
}
