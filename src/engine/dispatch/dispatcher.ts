/**
 * Leases due jobs of one pool, either its suspects or all others, while its workers are free, and runs them in chunks.
 *
 * A lease is the right of one process to run one attempt. It has an end, and a fence that the store raises with every
 * lease of the job; `store.lease` counts the attempt on disk before it answers. A leased job waits here for a worker,
 * is in flight in a chunk, and is settled with its outcome. At a drain or a pause, and when its lease ends before it
 * starts, it is released, and the attempt does not count. The lease-keeper renews the leases of waiting and running
 * jobs. If a lease ends nevertheless, because the process was suspended, the reaper settles the attempt as lost, and
 * another process may run the job: what this process settles afterwards has an older fence, and the store refuses it.
 * So a job has one outcome, even if two processes run it.
 */
import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import { createAlarm, createSignal, type Service, type Signal } from "../../lifecycle.ts";
import type { Lease } from "../../job/job.ts";
import type { Log } from "../../log.ts";
import type { Ended, Pool, RunCallbacks } from "../../pool/pool.ts";
import type { Leased, Store } from "../../store/store.ts";
import type { Backlog } from "../admit/backlog.ts";
import { nextPollMs, type Polling } from "../poller.ts";
import { createPrefetch } from "./prefetch.ts";
import { createChunkSize } from "./chunk-size.ts";
import { asCancelled, type ChunkPeak, createInFlight, unrun } from "./in-flight.ts";
import { createWaitingLeases } from "./waiting-leases.ts";

/** `stop` drains, and resolves once no job runs; the pool bounds that time. */
export type Dispatcher = Service & {
  /** There may be due jobs. Hints may be superfluous or missing: the dispatcher also polls. */
  hint(): void;
  /** There may be due jobs from this wall-clock time on. */
  hintAt(dueAt: number): void;
  /** Number of jobs that workers run. */
  running(): number;
  /** Leases of this pool that are not settled: of running jobs, and of those that wait for a worker. */
  held(): Lease[];
  /** Leases of running jobs. */
  started(): readonly Lease[];
  /** Leases of jobs that wait for a worker, the next to start first. */
  waiting(): readonly Lease[];
  /** Whether the store may have due jobs beyond those that pending calls of `store.lease` request. */
  mayHaveMore(): boolean;
  /** The number of running chunks, and its peak since the last call. */
  chunkPeak(): ChunkPeak;
  /**
   * Asks a running job to stop; one that waits for a worker is settled as cancelled. False: it is not here; if a
   * pending lease brings it, it is not started.
   */
  cancel(seq: number): boolean;
  /**
   * Another server has the job: this attempt does not start, or is asked to stop, and the store refuses its outcome.
   */
  abandon(lease: Lease): void;
  /** Everything that was held at this time (monotonic clock) is leased for `leaseMs` from then on. */
  renewed(atMs: number): void;
  /** While paused, leases nothing and releases what has not started. Running jobs continue. Safe to repeat. */
  setPaused(isPaused: boolean): void;
  isPaused(): boolean;
  /** True from `start` until it drains or a call of the store fails for good, also while paused. */
  isLeasing(): boolean;
  /** Stops leasing, and releases what has not started. Running jobs continue. Safe to repeat. */
  drain(): void;
};

/** A pool of workers and the dispatcher that feeds it. */
export type Lane = { readonly pool: Pool; readonly dispatcher: Dispatcher };
/** A pool as configured: the lane of its threads, and the lane of the processes that run its suspects. */
export type EnginePool = Lane & { readonly suspects: Lane };

export type DispatcherParts = {
  readonly pool: Pool;
  /** Whether it runs only the pool's suspects; otherwise it runs all other jobs. */
  readonly suspects: boolean;
  readonly store: Pick<Store, "lease">;
  readonly backlog: Backlog;
  readonly clock: Clock;
  readonly polling: Polling;
  /** This server process, for the leases. */
  readonly owner: string;
  /** How long a lease lasts unless it is renewed. */
  readonly leaseMs: number;
  readonly maxChunk: number;
  /** Whether this pool's workers have the task. A job stored by an earlier version may name one that does not exist. */
  readonly hasTask: (task: string) => boolean;
  /** Called with progress and log lines of running jobs. */
  readonly onEvent: NonNullable<RunCallbacks["onEvent"]>;
  /** Called, often, while jobs wait here or may wait in the store: more workers may be needed. */
  readonly onWork: () => void;
  /** Called with ended attempts. */
  readonly settle: (ended: readonly Ended[]) => void;
  /** Whether no job may start because too many outcomes wait to be written. */
  readonly isBehind: () => boolean;
  /**
   * Handles a failed call of the store. Returns the delay of the next try in milliseconds; undefined: nothing more is
   * leased.
   */
  readonly onError: (error: unknown) => number | undefined;
  readonly log: Log;
};

/** Bound on concurrent calls of `store.lease`: the second leases jobs that arrive during the first one's commit. */
const maxRequests = 2;
/**
 * Bound on prefetched jobs. While everything that a client has in flight fits, its jobs are leased in the transaction
 * of their submit and never enter the store's queue, which costs a third less.
 */
const maxPrefetch = 4_096;
/** Nothing more is leased while the records of waiting jobs have this many bytes. */
const maxWaitingBytes = 32 * 2 ** 20;
/** Bound on the records of one lease, in bytes. */
const maxLeaseBytes = 8 * 2 ** 20;

/** The mutable state besides the waiting jobs and those in flight. */
type State = {
  /** From `start` to `drain`, or until the store fails. */
  isLeasing: boolean;
  isPaused: boolean;
  /** See `Dispatcher.mayHaveMore`. */
  mayHaveMore: boolean;
  /** Calls of `store.lease` that are not answered yet. */
  readonly pending: Set<PendingLease>;
};

type PendingLease = {
  readonly limit: number;
  /** Jobs that were cancelled meanwhile and are not here: this call may bring them. */
  readonly cancelled: Set<number>;
};

export function createDispatcher(parts: DispatcherParts): Dispatcher {
  const { pool, suspects, store, backlog, clock, owner, leaseMs, settle } = parts;
  const chunkSize = createChunkSize(parts.maxChunk);
  // quick jobs gain nothing from running concurrently: one chunk of them keeps a worker busy
  const places = () => pool.target() * Math.max(Math.floor(pool.concurrency / chunkSize.expected()), 1);
  const prefetch = createPrefetch(places, { first: parts.maxChunk, max: maxPrefetch });
  const waiting = createWaitingLeases((jobs) => backlog.change(pool.name, jobs));
  const inFlight = createInFlight();
  const alarm = createAlarm(clock, poll);
  const state: State = { isLeasing: false, isPaused: false, mayHaveMore: false, pending: new Set() };
  let drained: Signal | undefined;

  /** The flow: lease → chunk → run → settle. Called after every change; each step goes as far as it can now. */
  function advance(): void {
    releaseStale();
    if (waiting.count() > 0 || state.mayHaveMore) parts.onWork();
    while (waiting.count() > 0 && pool.free() > 0) startChunk();
    leaseMore();
    if (!state.isLeasing && state.pending.size === 0 && inFlight.count() === 0) drained?.fire();
  }

  function leaseMore(): void {
    if (!pool.canRun()) return pollAfter(nextPollMs(parts.polling)); // it would release whatever it gets
    for (let limit = wanted(); limit > 0; limit = wanted()) void lease(limit);
  }

  const mayStart = () => state.isLeasing && !state.isPaused;

  /** How many jobs to lease now. */
  function wanted(): number {
    if (!mayStart() || !state.mayHaveMore || state.pending.size === maxRequests || parts.isBehind()) return 0;
    if (waiting.bytes() >= maxWaitingBytes) return 0;
    const size = chunkSize.expected();
    const each = Math.max(Math.floor(size / pool.concurrency), 1);
    let jobs = pool.free() * each + prefetch.jobs(size) - waiting.count();
    for (const { limit } of state.pending) jobs -= limit;
    const chunks = Math.ceil(jobs / (maxRequests - state.pending.size) / size);
    return Math.min(chunks * size, jobs);
  }

  async function lease(limit: number): Promise<void> {
    const now = clock.now();
    const askedMs = clock.monotonicMs();
    const call: PendingLease = { limit, cancelled: new Set() };
    state.mayHaveMore = false;
    state.pending.add(call);
    let leased: Leased | undefined;
    try {
      leased = await store.lease({ pool: pool.name, suspects, limit, maxBytes: maxLeaseBytes, now, owner, leaseMs });
    } catch (error) {
      const retryMs = parts.onError(error);
      if (retryMs === undefined) state.isLeasing = false;
      else pollAfter(retryMs); // what this call may have leased nevertheless is lost when its lease ends
    }
    state.pending.delete(call);
    if (leased) take(leased, call, askedMs);
    advance();
  }

  function take({ leases, nextDueAt }: Leased, { limit, cancelled }: PendingLease, askedMs: number): void {
    if (leases.length > 0) {
      prefetch.recordLease(askedMs, clock.monotonicMs(), leases.some(isRisky));
      const isCancelled = ({ seq }: Lease) => cancelled.has(seq);
      const marked = leases.some(isCancelled)
        ? leases.map((each) => (isCancelled(each) ? { ...each, isCancelling: true } : each))
        : leases;
      waiting.add(marked, askedMs + leaseMs);
    }
    if (leases.length === limit) state.mayHaveMore = true;
    pollAfter(nextPollMs(parts.polling));
    if (nextDueAt !== null) hintAt(nextDueAt);
  }

  /**
   * After a suspension of the process, another server may run what waits here: no job may start after its lease has
   * ended.
   */
  function releaseStale(): void {
    const mayBegin = mayStart() && clock.monotonicMs() < waiting.endsMs();
    if (!mayBegin && waiting.count() > 0) settle(waiting.take(waiting.count()).map(released));
  }

  function startChunk(): void {
    const leases = startable(waiting.take(chunkSize.cut(waiting.leases)));
    if (leases.length > 0) void run(leases);
  }

  async function run(leases: readonly Lease[]): Promise<void> {
    const chunk = inFlight.begin(leases);
    const remove = (job: Lease) => inFlight.remove(chunk, job);
    try {
      await pool.run(leases, {
        onEnded: (ended) => conclude(ended.filter((each) => remove(each.lease))),
        onReleased: (taken) => startNext(taken.filter(remove)),
        onEvent: parts.onEvent,
      });
    } catch (error) {
      parts.log.error({ pool: pool.name, error: messageOf(error) }, "a pool gave up a chunk: its jobs count as lost");
    }
    const unreported = [...chunk].filter(remove);
    conclude(unreported.map((job) => unrun(job, { kind: "lost", died: null }, clock.now())));
  }

  function conclude(ended: readonly Ended[]): void {
    for (const { lease: job, outcome, tookMs } of ended) {
      if (outcome.kind === "released" || outcome.kind === "lost" || tookMs === 0) continue; // it did not run to its end
      chunkSize.record(job.task, tookMs);
      prefetch.recordJob(tookMs);
    }
    settle(ended);
    advance();
  }

  /** Jobs that the pool released before they started: they are the next to start. */
  function startNext(leases: readonly Lease[]): void {
    waiting.putBack(leases);
    advance();
  }

  /** The jobs that may start; the others are settled. */
  function startable(leases: readonly Lease[]): readonly Lease[] {
    const now = clock.now();
    const refused = leases.map((job) => refusalOf(job, now));
    if (refused.every((each) => each === undefined)) return leases;
    settle(refused.filter((each) => each !== undefined));
    return leases.filter((_, index) => refused[index] === undefined);
  }

  /** The outcome of a job that must not run; undefined: it may. */
  function refusalOf(job: Lease, now: number): Ended | undefined {
    if (job.isCancelling) return asCancelled(job, now);
    if (job.damage) return unrun(job, { kind: "failed", failure: job.damage }, now);
    if (job.expiresAt !== null && job.expiresAt <= now) return unrun(job, { kind: "expired", hasStarted: false }, now);
    if (parts.hasTask(job.task)) return undefined;
    const message = `pool "${pool.name}" has no task "${job.task}" any more`;
    return unrun(job, { kind: "failed", failure: { reason: "unknown_task", message, retryable: false } }, now);
  }

  const released = (job: Lease) => unrun(job, { kind: "released" }, clock.now());

  function hint(): void {
    state.mayHaveMore = true;
    advance();
  }

  function hintAt(dueAt: number): void {
    const delayMs = dueAt - clock.now();
    if (delayMs <= 0) hint();
    else pollAfter(delayMs);
  }

  function pollAfter(delayMs: number): void {
    if (state.isLeasing) alarm.setBy(clock.now() + delayMs);
  }

  /** Handles lost hints, and workers that became free without a callback. */
  function poll(): void {
    waiting.putBack(startable(waiting.take(waiting.count()))); // a job whose deadline has passed does not wait for a worker
    hint();
    pollAfter(nextPollMs(parts.polling));
  }

  function setPaused(isPaused: boolean): void {
    state.isPaused = isPaused;
    if (isPaused) pool.withdraw();
    hint();
  }

  function drain(): void {
    state.isLeasing = false;
    alarm.cancel();
    advance();
  }

  return {
    name: `dispatcher of ${suspects ? "the suspects of " : ""}pool ${pool.name}`,
    hint,
    hintAt,
    running: inFlight.count,
    held: () => [...waiting.leases, ...inFlight.leases()],
    started: inFlight.leases,
    waiting: () => waiting.leases,
    mayHaveMore: () => state.mayHaveMore,
    chunkPeak: inFlight.chunkPeak,
    cancel(seq) {
      const job = waiting.leases.find((each) => each.seq === seq);
      if (job && waiting.remove(job)) {
        settle([asCancelled(job, clock.now())]);
        return true;
      }
      const isHere = pool.cancel(seq);
      if (!isHere) for (const { cancelled } of state.pending) cancelled.add(seq);
      return isHere;
    },
    abandon(job) {
      if (!waiting.remove(job)) pool.cancel(job.seq, job.fence);
    },
    renewed(atMs) {
      waiting.renewed(atMs + leaseMs);
    },
    async start() {
      state.isLeasing = true;
      hint();
    },
    setPaused,
    isPaused: () => state.isPaused,
    isLeasing: () => state.isLeasing,
    drain,
    async stop() {
      drained ??= createSignal();
      drain();
      await drained.promise;
    },
  };
}

/**
 * Whether only a few other jobs should be held together with this one. If the process died, a job on its last attempt
 * would be DEAD without having started; and a job that was held when another process died may be what kills processes,
 * and would make the others suspects.
 */
function isRisky({ attempt, maxAttempts, crashes }: Lease): boolean {
  return crashes > 0 || attempt >= maxAttempts;
}
