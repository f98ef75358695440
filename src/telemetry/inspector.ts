/** What V8 reports of a thread: recordings of its work and its allocations, and all of its memory. */
import { createWriteStream } from "node:fs";
import { Session } from "node:inspector/promises";
import { pipeline } from "node:stream/promises";
import { getHeapSnapshot, getHeapStatistics } from "node:v8";
import type { Worker } from "node:worker_threads";
import { beforeExec } from "../lifecycle.ts";

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

/** Writes all that is in this thread's memory into a new file. Rejects when `signal` aborts. */
export async function writeOwnHeap(path: string, signal: AbortSignal): Promise<void> {
  await pipeline(getHeapSnapshot(), createWriteStream(path, { mode: 0o600, flags: "wx" }), { signal });
}
