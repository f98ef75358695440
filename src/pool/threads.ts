/** The threads of a pool. piscina starts them when there is something to run, and ends those that are idle for long. */
import type { Worker } from "node:worker_threads";
import { Piscina } from "piscina";
import { type Chunk, noChunk, type ThreadData, type ThreadMessage } from "./chunk.ts";
import type { PoolOptions } from "./port.ts";
import { handedOver } from "./sending.ts";
import type { Bounds, PoolSize } from "./size.ts";

export type PoolThreads = {
  /** Those that exist now, those that are starting included. */
  all(): readonly Worker[];
  withId(threadId: number): Worker | undefined;
  /**
   * Runs a chunk on a thread of its own, which starts if none is idle. `take` gets what ends it: the thread, or the wait for
   * one. Rejects when the thread ends, and when `end` is called.
   */
  run(chunk: Chunk, take: (end: () => void) => void): Promise<unknown>;
  /** Has threads that are parked between jobs handle what other threads posted to them. */
  wakeIdle(): void;
  /** Starts a thread where there is none, though no job asks for one. */
  probe(): void;
  /** Takes back the probe that waits for a thread. */
  endProbe(): void;
  setTarget(workers: number): void;
  resize(bounds: Bounds): void;
  /** From now on no thread starts but for a chunk. */
  retire(): void;
  destroy(): Promise<void>;
};

export type PoolThreadsParts = Pick<PoolOptions, "work" | "idleMs"> & {
  readonly size: PoolSize;
  readonly data: ThreadData;
  readonly onMessage: (message: ThreadMessage) => void;
  /** A thread is gone, whatever the reason; it may still be among the threads. */
  readonly onGone: (threadId: number) => void;
  readonly onError: (error: unknown) => void;
};

/** Threads of a `cpu` pool run at lower priority, so that they never starve the thread that serves the network. */
const cpuNice = 5;

const nothing = () => {};

export function createPoolThreads({ work, size, data, idleMs, ...parts }: PoolThreadsParts): PoolThreads {
  const parks = work === "cpu" && data.resources.length === 0; // connections live on between jobs
  const threads = new Piscina({
    filename: new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url).href,
    minThreads: size.bounds().min,
    maxThreads: size.capacity(),
    idleTimeout: idleMs,
    atomics: parks ? "sync" : "disabled",
    niceIncrement: work === "cpu" ? cpuNice : 0,
    recordTiming: false,
    workerData: data,
  });
  threads.on("message", parts.onMessage);
  threads.on("workerDestroy", ({ id }: { readonly id: number }) => parts.onGone(id));
  threads.on("error", parts.onError);
  let endProbe = nothing;
  let isRetired = false;

  /** Each idle thread takes one; for those beyond them threads start, while there are fewer than may be. */
  function runNothing(times: number): void {
    for (let run = 0; run < times; run += 1) void threads.run(noChunk).catch(nothing); // its thread ended meanwhile
  }

  return {
    all: () => threads.threads,
    withId: (id) => threads.threads.find(({ threadId }) => threadId === id),
    run(chunk, take) {
      // piscina takes a list of buffers, unlike its types
      return threads.run(chunk, { signal: signalFor(take), transferList: handedOver(chunk) as never });
    },
    wakeIdle: () => runNothing(threads.idleThreads),
    probe() {
      endProbe();
      let own = nothing;
      const signal = signalFor((end) => {
        own = end;
        endProbe = end;
      });
      const forget = () => {
        if (endProbe === own) endProbe = nothing;
      };
      void threads.run(noChunk, { signal }).then(forget, forget); // it rejects when its thread dies or another takes its place
    },
    endProbe: () => endProbe(),
    setTarget(workers) {
      size.setTarget(workers);
      threads.options.maxThreads = size.capacity();
    },
    resize(bounds) {
      const { min: before } = size.bounds();
      size.resize(bounds);
      threads.options.maxThreads = size.capacity();
      if (isRetired || bounds.min === before) return;
      threads.options.minThreads = bounds.min;
      // piscina starts what is missing when a run asks for it, and the idle time of a thread begins at the end of a run
      runNothing(threads.idleThreads + Math.max(bounds.min - threads.threads.length, 0));
    },
    retire() {
      isRetired = true;
      threads.options.minThreads = 0;
    },
    destroy: () => threads.destroy(),
  };
}

/** All of an AbortSignal that piscina needs to end a thread; a real one for each chunk would cost more. */
function signalFor(take: (end: () => void) => void) {
  return { once: (_: string, end: () => void) => take(end), off() {}, removeListener() {} };
}
