/** Leases due jobs of one pool while its workers are free, and hands them over in chunks. */
import type { Clock } from "../clock.ts";
import { createSignal, type Service, type Signal } from "../lifecycle.ts";
import type { Lease } from "../job/job.ts";
import type { Ended, Pool } from "../pool/pool.ts";
import type { Store } from "../store/store.ts";
import type { Backlog } from "./backlog.ts";
import { createChunkSize } from "./chunk-size.ts";

export type Dispatcher = Service & {
  /** There may be due jobs: look now. May come too often or not at all; the dispatcher looks by itself now and then. */
  hint(): void;
  /** A job will be due at this wall-clock time: look then. */
  hintAt(dueAt: number): void;
  /** Jobs that workers run. */
  running(): number;
};

export type DispatcherParts = {
  readonly pool: Pool;
  readonly store: Pick<Store, "lease">;
  readonly backlog: Backlog;
  readonly clock: Clock;
  /** This server process, for the leases. */
  readonly owner: string;
  readonly maxChunk: number;
  /** Whether this pool's workers have the task. A job stored by an earlier version may name one that is gone. */
  readonly hasTask: (task: string) => boolean;
  /** Takes over attempts that ended. */
  readonly settle: (ended: readonly Ended[]) => void;
  /** Whether so many outcomes wait to be written that no job should start. */
  readonly isBehind: () => boolean;
  /** The store failed; nothing more is leased. */
  readonly onError: (error: unknown) => void;
};

/** Leases asked for and not yet answered: the second is for jobs that come while the first one's commit is under way. */
const maxAsking = 2;
/** The dispatcher looks at least this often. */
const lookEveryMs = 1_000;

export function createDispatcher(parts: DispatcherParts): Dispatcher {
  const { pool, store, backlog, clock, owner, settle } = parts;
  const chunkSize = createChunkSize(parts.maxChunk);
  let isRunning = false;
  let asking = 0;
  /** Jobs that the leases under way may bring. */
  let asked = 0;
  let running = 0;
  /** Jobs that are leased and wait for a worker: a chunk at most, beside what one lease brought too much. */
  let ahead: Lease[] = [];
  /** Whether the queue may hold due jobs that no lease under way asks for. */
  let mayHaveMore = false;
  let nextLookAt = Number.POSITIVE_INFINITY;
  let cancelTimer = () => {};
  let drained: Signal | undefined;

  /** Called by hints, and whenever a chunk ends or a lease is answered. */
  function look(): void {
    while (isRunning && mayHaveMore && asking < maxAsking && !parts.isBehind()) {
      const size = chunkSize.read();
      const wanted = pool.free() * size + chunkSize.ahead() - ahead.length - asked;
      if (wanted <= 0) return;
      mayHaveMore = false;
      const chunks = Math.ceil(wanted / (maxAsking - asking) / size);
      void lease(Math.min(chunks * size, wanted));
    }
  }

  async function lease(limit: number): Promise<void> {
    asking += 1;
    asked += limit;
    try {
      const { leases, nextDueAt } = await store.lease({ pool: pool.name, limit, now: clock.now(), owner });
      if (leases.length > 0) backlog.change(pool.name, -leases.length);
      settle(leases.filter(({ task }) => !parts.hasTask(task)).map(withoutTask));
      ahead.push(...leases.filter(({ task }) => parts.hasTask(task)));
      if (leases.length === limit) mayHaveMore = true;
      hintAt(Math.min(nextDueAt ?? Number.POSITIVE_INFINITY, clock.now() + lookEveryMs));
    } catch (error) {
      isRunning = false;
      parts.onError(error);
    } finally {
      asking -= 1;
      asked -= limit;
      next();
    }
  }

  /** Gives work to free workers, then looks for more; once stopped, gives back what did not start. */
  function next(): void {
    if (!isRunning) {
      settle(ahead.map(unstarted));
      ahead = [];
    }
    while (ahead.length > 0 && pool.free() > 0) void runChunk(ahead.splice(0, chunkSize.read()));
    look();
    if (!isRunning && asking === 0 && running === 0) drained?.fire();
  }

  async function runChunk(chunk: readonly Lease[]): Promise<void> {
    running += chunk.length;
    const ended = await pool.run(chunk);
    running -= chunk.length;
    for (const { tookMs } of ended) chunkSize.record(tookMs);
    settle(ended);
    next();
  }

  function unstarted(lease: Lease): Ended {
    const now = clock.now();
    return { lease, outcome: { kind: "released" }, startedAt: now, finishedAt: now, tookMs: 0 };
  }

  function withoutTask(lease: Lease): Ended {
    const message = `pool "${pool.name}" has no task "${lease.task}" any more`;
    const failure = { reason: "unknown_task", message, retryable: false };
    return { ...unstarted(lease), outcome: { kind: "failed", failure } };
  }

  function hintAt(dueAt: number): void {
    if (!isRunning || dueAt >= nextLookAt) return;
    cancelTimer();
    nextLookAt = dueAt;
    cancelTimer = clock.after(dueAt - clock.now(), () => {
      nextLookAt = Number.POSITIVE_INFINITY;
      hint();
    });
  }

  function hint(): void {
    mayHaveMore = true;
    look();
  }

  return {
    name: `dispatcher of pool ${pool.name}`,
    hint,
    hintAt,
    running: () => running,
    async start() {
      isRunning = true;
      hint();
    },
    /** Resolves once no job is leased; the pool decides how long that takes. */
    async stop() {
      isRunning = false;
      cancelTimer();
      drained ??= createSignal();
      next();
      await drained.promise;
    },
  };
}
