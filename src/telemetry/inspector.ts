/** What V8 reports about a thread: CPU and allocation profiles, and heap snapshots. */
import { createWriteStream } from "node:fs";
import { Session } from "node:inspector/promises";
import { pipeline } from "node:stream/promises";
import { getHeapSnapshot, getHeapStatistics } from "node:v8";
import type { Worker } from "node:worker_threads";
import { beforeExec } from "../lifecycle.ts";

/** A thread of this process; null: the current one. */
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

/** Starts at once, even if the thread is in a loop that never yields, but only after a native call has returned. */
export async function recordCpu(thread: Thread): Promise<Recording> {
  if (thread) return thread.startCpuProfile();
  const session = openSession();
  await session.post("Profiler.enable");
  await session.post("Profiler.start");
  const end = () => session.disconnect();
  beforeExec.add(end); // V8 samples with SIGPROF, which kills the next program of this process: it has no handler for it
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

/** Writes a snapshot of this thread's heap into a new file. Rejects when `signal` aborts. */
export async function writeOwnHeap(path: string, signal: AbortSignal): Promise<void> {
  await pipeline(getHeapSnapshot(), createWriteStream(path, { mode: 0o600, flags: "wx" }), { signal });
}
