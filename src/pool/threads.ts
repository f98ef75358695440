/** The threads of a pool. piscina starts them when there is something to run, and ends those that are idle for long. */
import type { Worker } from "node:worker_threads";
import { Piscina, type PiscinaTask, queueOptionsSymbol } from "piscina";
import { type Chunk, noChunk, type ThreadData, type ThreadMessage } from "./chunk.ts";
import type { PoolOptions } from "./port.ts";
import { handedOver } from "./sending.ts";
import type { Bounds, PoolSize } from "./size.ts";

export type PoolThreads = {
  /** Those that exist now, those that are starting included. */
  all(): readonly Worker[];
  withId(threadId: number): Worker | undefined;
  /**
   * Runs a chunk on the thread that has the fewest; one starts if none has room. `take` gets what ends it: the thread, or the wait for
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

export type PoolThreadsParts = Required<Pick<PoolOptions, "work" | "idleMs" | "isProbing" | "concurrency">> & {
  readonly size: PoolSize;
  readonly data: ThreadData;
  /** Chunks that are there, also those that wait for a thread. */
  readonly chunks: () => number;
  /** Threads that take chunks, or will once they have started. */
  readonly usable: () => number;
  /** Whether the thread takes what is posted to it at once: it has started, and nothing blocks it. */
  readonly isOpen: (threadId: number) => boolean;
  /** The chunk of the slot is posted to the thread. */
  readonly onPosted: (slot: number, threadId: number) => void;
  readonly onMessage: (message: ThreadMessage) => void;
  /** A thread is gone, whatever the reason; it may still be among the threads. */
  readonly onGone: (threadId: number) => void;
  readonly onError: (error: unknown) => void;
};

/** Threads of a `cpu` pool run at lower priority, so that they never starve the thread that serves the network. */
const cpuNice = 5;

const nothing = () => {};

/** A thread as piscina shows it to whoever places tasks. */
type Candidate = Parameters<NonNullable<Piscina["options"]["loadBalancer"]>>[1][number];

export function createPoolThreads(parts: PoolThreadsParts): PoolThreads {
  const { work, concurrency, size, data, idleMs, isProbing, isOpen, onPosted } = parts;
  const kept = () => Math.max(size.bounds().min, isProbing ? 1 : 0);
  const parks = work === "cpu" && data.resources.length === 0; // connections live on between jobs
  const threads = new Piscina({
    filename: new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url).href,
    minThreads: kept(),
    maxThreads: size.capacity(),
    concurrentTasksPerWorker: concurrency,
    loadBalancer: place,
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

  /** A chunk that finds no room starts a thread, unless those that are starting will have room for it. */
  function bound(): void {
    const missing = Math.max(Math.ceil(parts.chunks() / concurrency) - parts.usable(), 0);
    threads.options.maxThreads = Math.min(threads.threads.length + missing, size.capacity());
  }

  /**
   * The thread with the fewest tasks, of those within the target, as far as they have room; those that take nothing at
   * present come last. Piscina's own way of placing would keep a thread for one task, since each has a signal here.
   */
  function place(task: PiscinaTask, candidates: readonly Candidate[]): Candidate | null {
    const open = candidates.filter(({ id }) => isOpen(id));
    const options = task[queueOptionsSymbol] as { readonly slot: number } | null;
    const room = options ? concurrency : 1; // what is no chunk is for a thread that has none
    const within = open.slice(0, size.capacity());
    const chosen = leastBusy(within, room) ?? leastBusy(open, room) ?? leastBusy(candidates, room);
    if (chosen && options) onPosted(options.slot, chosen.id);
    return chosen ?? null;
  }

  function leastBusy(candidates: readonly Candidate[], room: number): Candidate | undefined {
    let chosen: Candidate | undefined;
    let least = room;
    for (const candidate of candidates) {
      const tasks = tasksOf(candidate);
      if (tasks >= least) continue;
      least = tasks;
      chosen = candidate;
      if (tasks === 0) break;
    }
    return chosen;
  }

  /** Each idle thread takes one; for those beyond them threads start, while there are fewer than may be. */
  function runNothing(times: number): void {
    threads.options.maxThreads = size.capacity();
    for (let run = 0; run < times; run += 1) {
      // the signal keeps it out of the queue in which piscina would hold chunks back behind it, though threads have room for them
      void threads.run(noChunk, { signal: signalFor(nothing) }).catch(nothing); // its thread ended meanwhile
    }
  }

  return {
    all: () => threads.threads,
    withId: (id) => threads.threads.find(({ threadId }) => threadId === id),
    run(chunk, take) {
      bound();
      // piscina takes a list of buffers, unlike its types
      return threads.run(
        { ...chunk, [queueOptionsSymbol]: chunk },
        { signal: signalFor(take), transferList: handedOver(chunk) as never },
      );
    },
    wakeIdle: () => runNothing(threads.idleThreads),
    probe() {
      endProbe();
      threads.options.maxThreads = size.capacity();
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
      bound();
    },
    resize(bounds) {
      const before = kept();
      size.resize(bounds);
      bound();
      if (isRetired || kept() === before) return;
      threads.options.minThreads = kept();
      // piscina starts what is missing when a run asks for it, and the idle time of a thread begins at the end of a run
      runNothing(threads.idleThreads + Math.max(kept() - threads.threads.length, 0));
    },
    retire() {
      isRetired = true;
      threads.options.minThreads = 0;
    },
    destroy: () => threads.destroy(),
  };
}

/** Piscina counts one that has a signal as endless, for it expects no others beside it. */
function tasksOf({ isRunningAbortableTask, currentUsage }: Candidate): number {
  return isRunningAbortableTask ? 1 : currentUsage;
}

/** All of an AbortSignal that piscina needs to end a thread; a real one for each chunk would cost more. */
function signalFor(take: (end: () => void) => void) {
  return { once: (_: string, end: () => void) => take(end), off() {}, removeListener() {} };
}
