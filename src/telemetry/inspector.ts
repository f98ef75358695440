/** What V8 can tell of a thread: recordings of its work and its allocations, and all of its memory. */
import { createWriteStream } from "node:fs";
import { Session } from "node:inspector/promises";
import { pipeline } from "node:stream/promises";
import { getHeapSnapshot, getHeapStatistics } from "node:v8";
import type { Worker } from "node:worker_threads";
import { beforeExec, createSignal } from "../lifecycle.ts";

/** Number of the one call that a session makes in a worker. */
const call = 1;

/** The `threadId` of a worker that has ended. */
export const endedThreadId = -1;

/** A thread of this process; null: the one that runs this. */
export type Thread = Worker | null;

export type Recording = {
  /** Resolves with the recording as JSON. Rejects when the thread is gone. */
  stop(): Promise<string>;
};

function openSession(): Session {
  const session = new Session();
  session.connect();
  return session;
}

/** Begins at once, also while the thread is inside a loop that never yields; not while it is inside native code. */
export async function recordCpu(thread: Thread): Promise<Recording> {
  if (thread) return thread.startCpuProfile();
  const session = openSession();
  await session.post("Profiler.enable");
  await session.post("Profiler.start");
  const end = () => session.disconnect();
  beforeExec.add(end); // V8 samples by SIGPROF, which ends a program that does not expect it
  return {
    async stop() {
      const { profile } = await session.post("Profiler.stop");
      beforeExec.delete(end);
      end();
      return JSON.stringify(profile);
    },
  };
}

/** Like `recordCpu`. */
export async function recordAllocations(thread: Thread): Promise<Recording> {
  if (thread) return thread.startHeapProfile();
  const session = openSession();
  await session.post("HeapProfiler.startSampling");
  return {
    async stop() {
      const { profile } = await session.post("HeapProfiler.stopSampling");
      session.disconnect();
      return JSON.stringify(profile);
    },
  };
}

/** Bytes in use on the thread's heap. */
export async function heapBytes(thread: Thread): Promise<number> {
  const { used_heap_size } = thread ? await thread.getHeapStatistics() : getHeapStatistics();
  return used_heap_size;
}

/** Writes all that is in the thread's memory into a new file. Rejects when the thread ends, or `signal` aborts. */
export async function writeHeap(thread: Thread, path: string, signal: AbortSignal): Promise<void> {
  if (thread)
    await runIn(thread, `process.getBuiltinModule("node:v8").writeHeapSnapshot(${JSON.stringify(path)})`, signal);
  else await pipeline(getHeapSnapshot(), createWriteStream(path, { mode: 0o600, flags: "wx" }), { signal });
}

/**
 * Evaluates an expression in a worker, also while it is inside a loop or parked. A snapshot is written there and not read
 * from here, by `worker.getHeapSnapshot()`: the end of its thread meanwhile would end the process by a segmentation fault
 * (seen on Node 24 and 26).
 */
async function runIn(worker: Worker, expression: string, signal: AbortSignal): Promise<void> {
  const session = openSession();
  const attached = createSignal<string>();
  const done = createSignal();
  const ended = () => done.fail(new Error("the thread ended"));
  const aborted = () => done.fail(new Error("it took too long, or the server stops"));
  session.on("NodeWorker.attachedToWorker", ({ params: { workerInfo, sessionId } }) => {
    if (workerInfo.title.startsWith(`[worker ${worker.threadId}]`)) attached.fire(sessionId); // its id is another number
  });
  session.on("NodeWorker.receivedMessageFromWorker", ({ params: { message } }) => {
    const answer = JSON.parse(message) as Answer;
    if (answer.id !== call) return;
    const fault = answer.error?.message ?? answer.result?.exceptionDetails?.exception?.description;
    if (fault === undefined) done.fire();
    else done.fail(new Error(fault));
  });
  worker.once("exit", ended);
  if (worker.threadId === endedThreadId) ended(); // its "exit" came before this
  signal.addEventListener("abort", aborted);
  if (signal.aborted) aborted();

  async function evaluate(): Promise<void> {
    await session.post("NodeWorker.enable", { waitForDebuggerOnStart: false });
    const sessionId = await attached.promise;
    const message = JSON.stringify({ id: call, method: "Runtime.evaluate", params: { expression } });
    await session.post("NodeWorker.sendMessageToWorker", { sessionId, message });
    await done.promise;
  }
  try {
    await Promise.race([done.promise, evaluate()]);
  } finally {
    worker.off("exit", ended);
    signal.removeEventListener("abort", aborted);
    session.disconnect();
  }
}

/** What a worker answers, as far as it matters: https://chromedevtools.github.io/devtools-protocol/v8/Runtime/#method-evaluate */
type Answer = {
  readonly id?: number;
  readonly error?: { readonly message: string };
  readonly result?: { readonly exceptionDetails?: { readonly exception?: { readonly description?: string } } };
};
