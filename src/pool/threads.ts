/** The threads of a pool. Piscina starts them when there is something to run, and ends idle ones. */
import type { Worker } from "node:worker_threads";
import { Piscina, type PiscinaTask, queueOptionsSymbol } from "piscina";
import { type Chunk, noChunk, type ThreadData, type ThreadMessage } from "./chunk.ts";
import type { PoolOptions } from "./port.ts";
import { handedOver } from "./sending.ts";
import type { Bounds, PoolSize } from "./size.ts";

export type PoolThreads = {
  /** All existing threads, including starting ones. */
  all(): readonly Worker[];
  withId(threadId: number): Worker | undefined;
  /**
   * Runs a chunk on the thread with the fewest chunks; one starts if none has room. `take` gets a function that
   * terminates the thread, or ends the wait for one. Rejects when the thread ends, and when `end` is called.
   */
  run(chunk: Chunk, take: (end: () => void) => void): Promise<unknown>;
  /** Makes parked threads handle messages from other threads. */
  wakeIdle(): void;
  /** Starts a thread if there is none, even without a job. */
  probe(): void;
  /** Cancels the probe that waits for a thread. */
  endProbe(): void;
  setTarget(workers: number): void;
  resize(bounds: Bounds): void;
  /** From now on threads only start for chunks. */
  retire(): void;
  destroy(): Promise<void>;
};

export type PoolThreadsParts = Required<Pick<PoolOptions, "work" | "idleMs" | "isProbing" | "concurrency">> & {
  readonly size: PoolSize;
  readonly data: ThreadData;
  /** Number of chunks, including those that wait for a thread. */
  readonly chunks: () => number;
  /** Number of threads that take chunks, or will once they have started. */
  readonly usable: () => number;
  /** Whether the thread takes a chunk at once: it has started, and nothing blocks it. */
  readonly isOpen: (threadId: number) => boolean;
  /** Called when the chunk of the slot is posted to the thread. */
  readonly onPosted: (slot: number, threadId: number) => void;
  readonly onMessage: (message: ThreadMessage) => void;
  /** Called when a thread has ended for any reason; it may still be in the list of threads. */
  readonly onGone: (threadId: number) => void;
  readonly onError: (error: unknown) => void;
};

/** Threads of a `cpu` pool run at lower priority, so that they never starve the thread that serves the network. */
const cpuNice = 5;

const nothing = () => {};

/** A thread as piscina passes it to its load balancer. */
type Candidate = Parameters<NonNullable<Piscina["options"]["loadBalancer"]>>[1][number];

export function createPoolThreads(parts: PoolThreadsParts): PoolThreads {
  const { work, concurrency, size, data, idleMs, isProbing, isOpen, onPosted } = parts;
  const kept = () => Math.max(size.bounds().min, isProbing ? 1 : 0);
  const parks = work === "cpu" && data.resources.length === 0; // connections need the event loop between jobs
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

  /** Sets the bounds of piscina so that a chunk without room starts a thread, unless starting threads will have room for it. */
  function bound(): void {
    const missing = Math.max(Math.ceil(parts.chunks() / concurrency) - parts.usable(), 0);
    threads.options.maxThreads = Math.min(threads.threads.length + missing, size.capacity());
  }

  /**
   * Chooses the thread with the fewest tasks among those within the target that have room; blocked threads come last.
   * Piscina's default would reserve a thread for each task, because each has a signal here.
   */
  function place(task: PiscinaTask, candidates: readonly Candidate[]): Candidate | null {
    const open = candidates.filter(({ id }) => isOpen(id));
    const options = task[queueOptionsSymbol] as { readonly slot: number } | null;
    const room = options ? concurrency : 1; // a probe goes to a thread without chunks
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

  /** Runs probes: each idle thread takes one, and threads start for the rest, up to the bound. */
  function runNothing(times: number): void {
    threads.options.maxThreads = size.capacity();
    for (let run = 0; run < times; run += 1) {
      // with a signal, a waiting probe does not block the chunks behind it in piscina's queue
      void threads.run(noChunk, { signal: signalFor(nothing) }).catch(nothing); // its thread has ended
    }
  }

  return {
    all: () => threads.threads,
    withId: (id) => threads.threads.find(({ threadId }) => threadId === id),
    run(chunk, take) {
      bound();
      // piscina accepts a list of buffers, despite its types
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
      void threads.run(noChunk, { signal }).then(forget, forget); // rejects when its thread dies or another probe replaces it
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
      // piscina starts missing threads only for a run, and restarts a thread's idle time after one
      runNothing(threads.idleThreads + Math.max(kept() - threads.threads.length, 0));
    },
    retire() {
      isRetired = true;
      threads.options.minThreads = 0;
      runNothing(threads.idleThreads); // the idle time of a thread begins at the end of a run
    },
    destroy: () => threads.destroy(),
  };
}

/** The number of tasks of a thread. Piscina counts a task with a signal as infinite, because it runs such tasks alone. */
function tasksOf({ isRunningAbortableTask, currentUsage }: Candidate): number {
  return isRunningAbortableTask ? 1 : currentUsage;
}

/** The minimal AbortSignal that piscina needs to terminate a thread; a real one for each chunk would cost more. */
function signalFor(take: (end: () => void) => void) {
  return { once: (_: string, end: () => void) => take(end), off() {}, removeListener() {} };
}
