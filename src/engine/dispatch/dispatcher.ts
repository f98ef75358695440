/** Leases due jobs of one pool, the suspects or all others, while its workers are free, and hands them over in chunks. */
import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import { createSignal, type Service, type Signal } from "../../lifecycle.ts";
import type { Lease } from "../../job/job.ts";
import type { Log } from "../../log.ts";
import type { Ended, Pool } from "../../pool/pool.ts";
import type { Leased, Store } from "../../store/store.ts";
import type { Backlog } from "../admit/backlog.ts";
import { createPrefetch } from "./prefetch.ts";
import { createChunkSize } from "./chunk-size.ts";
import { asCancelled, createInFlight, unrun } from "./in-flight.ts";

/** `stop` drains, and resolves once no job runs; the pool decides how long that takes. */
export type Dispatcher = Service & {
  /** There may be due jobs: look now. May come too often or not at all; the dispatcher looks by itself now and then. */
  hint(): void;
  /** A job will be due at this wall-clock time: look then. */
  hintAt(dueAt: number): void;
  /** Jobs that workers run. */
  running(): number;
  /** What this process has leased of this pool and not settled: jobs that run, and those that wait for a worker. */
  held(): Lease[];
  /** Of these, those that workers run. */
  started(): readonly Lease[];
  /** Of these, those that wait for a worker, the next to start first. */
  waiting(): readonly Lease[];
  /**
   * Tells a running job to stop; one that still waits for a worker is settled as cancelled. False: it is not here; should a
   * lease under way bring it, it is not started.
   */
  cancel(seq: number): boolean;
  /** Another server has the job: this lease's attempt does not begin, or is told to stop, and its fence refuses what comes of it. */
  abandon(lease: Lease): void;
  /** What was held at this time, by the monotonic clock, is leased for `leaseMs` from then. */
  renewed(atMs: number): void;
  /** The pool hands these jobs back before they began, out of a chunk that goes on: they are the next to start. */
  takeBack(leases: readonly Lease[]): void;
  /** Leases nothing more, and gives back what did not begin. What runs goes on. Safe to repeat. */
  drain(): void;
};

export type DispatcherParts = {
  readonly pool: Pool;
  /** Whether it runs the pool's suspects, and nothing else. */
  readonly suspects: boolean;
  readonly store: Pick<Store, "lease">;
  readonly backlog: Backlog;
  readonly clock: Clock;
  /** This server process, for the leases. */
  readonly owner: string;
  /** How long a lease lasts unless it is renewed. */
  readonly leaseMs: number;
  readonly maxChunk: number;
  /** Whether this pool's workers have the task. A job stored by an earlier version may name one that is gone. */
  readonly hasTask: (task: string) => boolean;
  /** Called with every lease that comes. */
  readonly onLeased: (leases: readonly Lease[]) => void;
  /** Takes over attempts that ended. */
  readonly settle: (ended: readonly Ended[]) => void;
  /** Whether so many outcomes wait to be written that no job should start. */
  readonly isBehind: () => boolean;
  /** The store failed; nothing more is leased. */
  readonly onError: (error: unknown) => void;
  readonly log: Log;
};

/** Leases asked for and not yet answered: the second is for jobs that come while the first one's commit is under way. */
const maxAsking = 2;
/** The dispatcher looks at least this often. */
const lookEveryMs = 1_000;

export function createDispatcher(parts: DispatcherParts): Dispatcher {
  const { pool, suspects, store, backlog, clock, owner, settle } = parts;
  const chunkSize = createChunkSize(parts.maxChunk);
  const ahead = createPrefetch(pool.maxWorkers, parts.maxChunk);
  const running = createInFlight();
  let isLeasing = false;
  let asking = 0;
  /** Jobs that the leases under way may bring. */
  let asked = 0;
  /** Jobs that are leased and wait for a worker: no more than are held ready, beside what one lease brought too much. */
  const line: Lease[] = [];
  /** When the first lease in the line may end, by the monotonic clock. */
  let lineEndsMs = Number.POSITIVE_INFINITY;
  /** Jobs to cancel that are not here: a lease under way may be bringing them. */
  const unmet = new Set<number>();
  /** Whether the queue may hold due jobs that no lease under way asks for. */
  let mayHaveMore = false;
  let nextLookAt = Number.POSITIVE_INFINITY;
  let cancelTimer = () => {};
  let drained: Signal | undefined;

  /** Called by hints, and whenever a chunk ends or a lease is answered. */
  function look(): void {
    // a pool whose threads do not start would hand back what it is given; it tries by itself whether that is over
    if (!pool.canRun()) return hintAt(clock.now() + lookEveryMs);
    while (isLeasing && mayHaveMore && asking < maxAsking && !parts.isBehind()) {
      const size = chunkSize.expected();
      const wanted = pool.free() * size + ahead.jobs(size) - line.length - asked;
      if (wanted <= 0) return;
      mayHaveMore = false;
      const chunks = Math.ceil(wanted / (maxAsking - asking) / size);
      void lease(Math.min(chunks * size, wanted));
    }
  }

  async function lease(limit: number): Promise<void> {
    const now = clock.now();
    const askedMs = clock.monotonicMs();
    asking += 1;
    asked += limit;
    let leased: Leased | undefined;
    try {
      leased = await store.lease({ pool: pool.name, suspects, limit, now, owner, leaseMs: parts.leaseMs });
    } catch (error) {
      isLeasing = false;
      parts.onError(error);
    }
    asking -= 1;
    asked -= limit;
    if (leased) take(leased, limit, askedMs);
    if (asking === 0) unmet.clear();
    next();
  }

  function take({ leases, nextDueAt }: Leased, limit: number, askedMs: number): void {
    if (leases.length > 0) {
      ahead.recordLease(clock.monotonicMs() - askedMs);
      parts.onLeased(leases);
      lineEndsMs = Math.min(line.length > 0 ? lineEndsMs : Number.POSITIVE_INFINITY, askedMs + parts.leaseMs);
      for (const lease of leases) line.push(unmet.has(lease.seq) ? { ...lease, isCancelling: true } : lease);
    }
    if (leases.length === limit) mayHaveMore = true;
    hintAt(Math.min(nextDueAt ?? Number.POSITIVE_INFINITY, clock.now() + lookEveryMs));
  }

  /** Gives work to free workers, then looks for more; once nothing is leased any more, gives back what did not start. */
  function next(): void {
    // after a standstill another server may run what waited here: it must not begin under a lease that has ended
    const mayBegin = isLeasing && clock.monotonicMs() < lineEndsMs;
    if (!mayBegin && line.length > 0) settle(leave(0, line.length).map(givenBack));
    while (line.length > 0 && pool.free() > 0) {
      const chunk = startable(leave(0, chunkSize.cut(line)));
      if (chunk.length > 0) void runChunk(chunk);
    }
    look();
    if (!isLeasing && asking === 0 && running.count() === 0) drained?.fire();
  }

  /** Takes these out of the line: they do not wait any more. */
  function leave(index: number, count: number): Lease[] {
    backlog.change(pool.name, -count);
    return line.splice(index, count);
  }

  /** They wait again, and are the next to start. */
  function comeBack(leases: readonly Lease[]): void {
    backlog.change(pool.name, leases.length);
    line.unshift(...leases);
  }

  /** What may not start is settled. */
  function startable(leases: readonly Lease[]): readonly Lease[] {
    const now = clock.now();
    const fates = leases.map((lease) => fateOf(lease, now));
    if (fates.every((fate) => fate === undefined)) return leases;
    settle(fates.filter((fate) => fate !== undefined));
    return leases.filter((_, index) => fates[index] === undefined);
  }

  /** How a lease ends that must not be run; undefined: it may. */
  function fateOf(lease: Lease, now: number): Ended | undefined {
    if (lease.isCancelling) return asCancelled(lease, now);
    if (lease.damage) return unrun(lease, { kind: "failed", failure: lease.damage }, now);
    if (lease.expiresAt !== null && lease.expiresAt <= now) {
      return unrun(lease, { kind: "expired", hasStarted: false }, now);
    }
    return parts.hasTask(lease.task) ? undefined : withoutTask(lease, now);
  }

  async function runChunk(leases: readonly Lease[]): Promise<void> {
    const chunk = running.begin(leases);
    let ended: readonly Ended[];
    try {
      ended = await pool.run(leases, (part) => conclude(running.endPart(chunk, part)));
    } catch (error) {
      parts.log.error({ pool: pool.name, error: messageOf(error) }, "a pool gave a chunk up: its jobs count as lost");
      ended = leases.map((lease) => unrun(lease, { kind: "lost", died: null }, clock.now()));
    }
    conclude(running.end(chunk, ended));
  }

  function conclude(own: readonly Ended[]): void {
    for (const { lease, outcome, tookMs } of own) {
      if (outcome.kind === "released" || outcome.kind === "lost" || tookMs === 0) continue; // it did not run, or not to its end
      chunkSize.record(lease.task, tookMs);
      ahead.recordJob(tookMs);
    }
    settle(own);
    next();
  }

  const givenBack = (lease: Lease) => unrun(lease, { kind: "released" }, clock.now());

  function withoutTask(lease: Lease, now: number): Ended {
    const message = `pool "${pool.name}" has no task "${lease.task}" any more`;
    return unrun(lease, { kind: "failed", failure: { reason: "unknown_task", message, retryable: false } }, now);
  }

  function hintAt(dueAt: number): void {
    if (!isLeasing || dueAt >= nextLookAt) return;
    cancelTimer();
    nextLookAt = dueAt;
    cancelTimer = clock.after(dueAt - clock.now(), () => {
      nextLookAt = Number.POSITIVE_INFINITY;
      comeBack(startable(leave(0, line.length))); // a deadline that passed meanwhile does not wait for a worker
      mayHaveMore = true;
      next(); // a worker may have become free without a word
      if (line.length > 0) hintAt(clock.now() + lookEveryMs);
    });
  }

  function hint(): void {
    mayHaveMore = true;
    look();
  }

  function drain(): void {
    isLeasing = false;
    cancelTimer();
    next();
  }

  return {
    name: `dispatcher of ${suspects ? "the suspects of " : ""}pool ${pool.name}`,
    hint,
    hintAt,
    running: running.count,
    held: () => [...line, ...running.leases()],
    started: running.leases,
    waiting: () => line,
    cancel(seq) {
      const index = line.findIndex((lease) => lease.seq === seq);
      if (index === -1) {
        const isHere = pool.cancel(seq);
        if (!isHere && asking > 0) unmet.add(seq);
        return isHere;
      }
      settle(leave(index, 1).map((lease) => asCancelled(lease, clock.now())));
      return true;
    },
    abandon(lease) {
      const index = line.indexOf(lease);
      if (index === -1) pool.cancel(lease.seq, lease.fence);
      else leave(index, 1);
    },
    renewed(atMs) {
      lineEndsMs = atMs + parts.leaseMs;
    },
    takeBack(leases) {
      comeBack(running.withdraw(leases));
      next();
    },
    async start() {
      isLeasing = true;
      hint();
    },
    drain,
    async stop() {
      drained ??= createSignal();
      drain();
      await drained.promise;
    },
  };
}
