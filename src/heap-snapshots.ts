/**
 * Heap snapshots of threads. Each thread writes its own in a turn of its event loop. Taking them from outside can crash
 * the process with a segmentation fault when a thread ends meanwhile: `worker.getHeapSnapshot()` reads memory that the
 * thread has freed, and the inspector's `NodeWorker.enable` attaches to it (seen on Node 24 and 26).
 */
import { writeHeapSnapshot } from "node:v8";
import { BroadcastChannel, threadId, type Worker } from "node:worker_threads";
import { messageOf } from "./errors.ts";
import { createSignal } from "./lifecycle.ts";

type SnapshotRequest = { readonly thread: number; readonly path: string; readonly untilMs: number };
type SnapshotProgress = { readonly path: string; readonly progress: "begun" | "written" | { readonly error: string } };

const channelName = "millpond-heap-snapshots";

export type HeapRequest = {
  /** Sends the request. Repeat it until `begun`: a thread that is still starting misses it. */
  send(): void;
  /** Both promises reject when the thread ends, when it cannot write the file, and when `signal` aborts. */
  readonly begun: Promise<void>;
  readonly written: Promise<void>;
};

/** Makes this thread answer `requestHeapSnapshot`. Does not keep the thread alive. */
export function answerHeapRequests(now: () => number): void {
  const channel = new BroadcastChannel(channelName);
  const answer = (message: SnapshotProgress) => channel.postMessage(message);
  let last: string | undefined;
  channel.addEventListener("message", (event) => {
    const { thread, path, untilMs } = (event as MessageEvent).data as SnapshotRequest;
    if (thread !== threadId || path === last || now() > untilMs) return;
    last = path;
    answer({ path, progress: "begun" });
    try {
      writeHeapSnapshot(path);
      answer({ path, progress: "written" });
    } catch (error) {
      answer({ path, progress: { error: messageOf(error) } });
    }
  });
  channel.unref();
}

/** A request to a thread to write its heap to a new file at `path`. The thread ignores the request after `untilMs` (wall clock). */
export function requestHeapSnapshot(worker: Worker, path: string, untilMs: number, signal: AbortSignal): HeapRequest {
  const channel = new BroadcastChannel(channelName);
  const begun = createSignal();
  const written = createSignal();
  const fail = (why: string) => {
    begun.fail(new Error(why));
    written.fail(new Error(why));
  };
  const ended = () => fail("the thread ended");
  const aborted = () => fail("it took too long, or the server is stopping");
  channel.addEventListener("message", (event) => {
    const { path: answered, progress } = (event as MessageEvent).data as SnapshotProgress;
    if (answered !== path) return;
    if (progress === "begun") begun.fire();
    else if (progress === "written") written.fire();
    else if (progress) fail(progress.error);
  });
  worker.once("exit", ended);
  if (worker.threadId === endedThreadId) ended(); // its "exit" event was emitted before
  signal.addEventListener("abort", aborted);
  if (signal.aborted) aborted();
  const done = () => {
    channel.close();
    worker.off("exit", ended);
    signal.removeEventListener("abort", aborted);
  };
  written.promise.then(done, done);
  begun.promise.catch(() => undefined); // both reject together, and the caller may await only one
  return {
    send: () => channel.postMessage({ thread: worker.threadId, path, untilMs } satisfies SnapshotRequest),
    begun: begun.promise,
    written: written.promise,
  };
}

/** The `threadId` of a worker that has ended. */
export const endedThreadId = -1;
