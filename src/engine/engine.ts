/** Wires the parts of the engine, which lie between the front ends, the store and the pools. */
import type { Clock } from "../clock.ts";
import { isUnavailable, messageOf } from "../errors.ts";
import { defaultRetryPolicy } from "../job/backoff.ts";
import { isSuspect, type Lease } from "../job/job.ts";
import { createLoop, type Service } from "../lifecycle.ts";
import type { Log } from "../log.ts";
import type { Registry } from "../metrics/registry.ts";
import type { AttemptEvent, Pool } from "../pool/pool.ts";
import type { TaskChecks } from "../pool/checker/checks.ts";
import type { Tasks } from "../pool/tasks.ts";
import type { Store } from "../store/store.ts";
import type { Tracing } from "../tracing.ts";
import { type Admission, type AdmissionLimits, createAdmission } from "./admit/admission.ts";
import type { Death } from "./settle/alerts.ts";
import { type Backlog, createBacklog } from "./admit/backlog.ts";
import { type Canceller, createCanceller } from "./act/cancel.ts";
import { createDeadLetters, type DeadLetters } from "./act/dead-letters.ts";
import { type ControlledPool, createPoolControl, type MinimaRoom, type PoolControl } from "./act/pool-control.ts";
import type { DiskWatermark } from "./admit/disk-watermark.ts";
import { type Autoscaler, type AutoscalerParts, createAutoscaler } from "./dispatch/autoscaler.ts";
import { createDispatcher, type EnginePool, type Lane } from "./dispatch/dispatcher.ts";
import { createExplain, type Explain } from "./watch/explain.ts";
import { createLeaseKeeper } from "./dispatch/lease-keeper.ts";
import { createNumbers, type Numbers, observeNumbers } from "./numbers.ts";
import { nextPollMs } from "./poller.ts";
import { createPruner, type Retention } from "./upkeep/pruner.ts";
import { createRateLimit, type RateLimit, type Rates } from "./admit/rate-limit.ts";
import { createReaper, recoverLost } from "./upkeep/reaper.ts";
import { createReadBudget } from "./deliver/read-budget.ts";
import { createResultReaders, type ResultReaders } from "./deliver/result-readers.ts";
import { createSettler } from "./settle/settler.ts";
import { createStats, type Stats } from "./watch/stats.ts";
import { createKeyedMutex } from "./keyed-mutex.ts";
import { createWatchers, type Watchers } from "./watch/watchers.ts";

export type EngineParts = {
  readonly store: Store;
  readonly tasks: () => Tasks;
  readonly checks: TaskChecks;
  readonly pools: readonly Pool[];
  /** For each of `pools`, one of the same name that runs its suspects, each in a process of its own. */
  readonly isolated: readonly Pool[];
  readonly clock: Clock;
  readonly tracing: Tracing;
  readonly registry: Registry;
  /** This server process: unique for each start. */
  readonly owner: string;
  /** How long a lease lasts unless it is renewed. */
  readonly leaseMs: number;
  /** Longest time between two polls of the store, which find what lost hints would have announced. */
  readonly pollMs: number;
  readonly maxChunk: number;
  readonly scaling: Pick<AutoscalerParts, "rule" | "pollMs" | "ceilings"> & {
    readonly minimaRoom: () => MinimaRoom;
    /** Upper bound on the workers of a pool with this `concurrency`. */
    readonly mostWorkersAt: (concurrency: number) => number;
  };
  /** In [0, 1). */
  readonly random: () => number;
  readonly newId: () => string;
  readonly rates: Rates;
  readonly limits: AdmissionLimits & {
    /** Streams of results that one client may have open. */
    readonly resultStreams: number;
    /** Bound on the stored outputs and failures in one batch of results. */
    readonly resultBatchBytes: number;
    /** Bound on the results that all streams together have read and not yet sent. */
    readonly resultBudgetBytes: number;
    /** Jobs that one client may watch or run at once. */
    readonly watches: number;
  };
  /** Bound on waiting jobs, by pool. */
  readonly maxQueued: ReadonlyMap<string, number>;
  readonly retention: Retention;
  readonly disk: Pick<DiskWatermark, "refusal">;
  /** Called with jobs that became DEAD, once that is durable. */
  readonly onDeath: (deaths: readonly Death[]) => void;
  /** Called when the store has failed: nothing more is leased. */
  readonly onError: (error: Error) => void;
  readonly log: Log;
};

/**
 * `stop` drains, and resolves once every running job has ended and its outcome is written; the pools bound that time.
 */
export type Engine = Service & {
  /**
   * Takes over what the previous process left, without starting a job. Call it before `start` and before any request.
   */
  recover(): Promise<void>;
  /** Stops leasing; running jobs continue. Safe to repeat. */
  drain(): void;
  /** Drains, and resolves once no job runs and every outcome is written. */
  ended(): Promise<void>;
  /** Number of jobs that run, or whose outcome is not written yet: of this pool, or of all. */
  running(pool?: string): number;
  readonly admission: Admission;
  readonly readers: ResultReaders;
  readonly backlog: Backlog;
  readonly stats: Stats;
  readonly numbers: Numbers;
  readonly rateLimit: RateLimit;
  readonly canceller: Canceller;
  readonly deadLetters: DeadLetters;
  readonly poolControl: PoolControl;
  readonly watchers: Watchers;
  readonly explain: Explain;
  readonly autoscaler: Pick<Autoscaler, "wake" | "decisions">;
  readonly pools: readonly EnginePool[];
};

const warnEveryMs = 10_000;

export function createEngine(parts: EngineParts): Engine {
  const { store, tasks, tracing, clock, owner, leaseMs, log } = parts;
  const polling = { clock, everyMs: parts.pollMs, random: parts.random };
  const backlog = createBacklog(store, parts.maxQueued);
  const stats = createStats(clock, parts.registry);
  const rateLimit = createRateLimit(parts.rates, clock);
  const { resultStreams, resultBatchBytes, resultBudgetBytes, watches } = parts.limits;
  const budget = createReadBudget(resultBudgetBytes);
  const readers = createResultReaders(store, {
    ...{ maxPerClient: resultStreams, maxBatchBytes: resultBatchBytes, budget, polling },
  });
  const watchers = createWatchers({ store, polling, maxPerClient: watches });
  const perClient = createKeyedMutex();
  const named = new Map<string, EnginePool>();
  const lanesOf = (name: string): readonly Lane[] => {
    const pool = named.get(name);
    return pool ? [pool, pool.suspects] : [];
  };
  const unsubscribe = store.subscribe({
    due(name, at, isSuspect) {
      const pool = named.get(name);
      (isSuspect ? pool?.suspects : pool)?.dispatcher.hintAt(at);
    },
    results: readers.hint,
    jobs: watchers.changed,
    overrides: () => void poolControl.load().catch(onError),
  });
  const onEvent = (lease: Lease, event: AttemptEvent) => {
    if (event.kind === "progress") return watchers.progress(lease, event.progress);
    const { level, text, fields } = event;
    watchers.log(lease, { level, text, fields, attempt: lease.attempt, at: clock.now() });
  };
  let warnAgainMs = 0;
  let isDraining = false;
  let otherPools: readonly string[] = [];

  /**
   * Handles a failed call of the store. Returns the delay of the next try in milliseconds; undefined: there is none.
   */
  function onError(error: unknown): number | undefined {
    if (isUnavailable(error)) {
      const nowMs = clock.monotonicMs();
      if (nowMs >= warnAgainMs) {
        log.warn({ error: messageOf(error) }, "the store is unavailable: it is tried again until it answers");
        warnAgainMs = nowMs + warnEveryMs;
      }
      return nextPollMs(polling);
    }
    parts.onError(error instanceof Error ? error : new Error(String(error)));
    return undefined;
  }

  const settler = createSettler({
    ...{ store, backlog, clock, leaseMs, onError, log },
    random: parts.random,
    policyOf: (task) => tasks().get(task)?.retry ?? defaultRetryPolicy,
    onCaughtUp() {
      for (const { dispatcher } of lanes) dispatcher.hint();
    },
    onSettled(ended, settlements) {
      stats.ended(ended, settlements);
      pruner.ended(ended.length);
      tracing.settled(ended, settlements);
    },
    onDeath: parts.onDeath,
  });
  const { settle, flush, isBehind } = settler;
  const laneOf = (pool: Pool, suspects: boolean): Lane => {
    const dispatcher = createDispatcher({
      ...{ pool, suspects, store, backlog, clock, polling, owner, leaseMs, settle, isBehind, onError, log },
      maxChunk: suspects ? 1 : parts.maxChunk,
      onWork: () => suspects || autoscaler.wake(),
      hasTask: (task) => tasks().get(task)?.pool === pool.name,
      onEvent,
    });
    return { pool, dispatcher };
  };
  for (const pool of parts.pools) {
    const isolated = parts.isolated.find(({ name }) => name === pool.name);
    if (!isolated) throw new Error(`pool ${pool.name} has no processes for its suspects`);
    named.set(pool.name, { ...laneOf(pool, false), suspects: laneOf(isolated, true) });
  }
  const pools = [...named.values()];
  const lanes = pools.flatMap((pool) => [pool, pool.suspects]);
  const autoscaler = createAutoscaler({ ...parts.scaling, pools, store, clock, isBehind, onError, log });
  const held = () => [...lanes.flatMap(({ dispatcher }) => dispatcher.held()), ...settler.held()];
  const stopOne = (pool: string, seq: number) => {
    for (const { dispatcher } of lanesOf(pool)) dispatcher.cancel(seq);
  };
  const leaseKeeper = createLeaseKeeper({
    ...{ store, clock, leaseMs, held, onError, log },
    cancel: ({ pool, seq }) => stopOne(pool, seq),
    abandon(lease) {
      for (const { dispatcher } of lanesOf(lease.pool)) dispatcher.abandon(lease);
    },
    renewed(atMs) {
      for (const { dispatcher } of lanes) dispatcher.renewed(atMs);
    },
  });
  const reaper = createReaper({
    ...{ store, clock, owner, settle, backlog, leaseMs, held, isBehind, onError },
    pools: () => [...named.keys(), ...otherPools],
  });
  const admission = createAdmission({
    ...{ tasks, store, backlog, rateLimit, stats, tracing, clock, limits: parts.limits, newId: parts.newId },
    disk: parts.disk,
    checks: parts.checks,
    onSubmitted: () => pruner.submitted(),
  });
  const poolControl = createPoolControl({
    ...{ store, clock, log, minimaRoom: parts.scaling.minimaRoom },
    pools: pools.map((pool) => ({
      ...controlled(pool, () => autoscaler.wake()),
      mostWorkers: parts.scaling.mostWorkersAt(pool.pool.concurrency),
    })),
  });
  /** Polls for what other servers change. */
  const poolPoll = createLoop({
    ...{ name: "backlog and pauses", clock, everyMs: parts.pollMs, onError },
    async round() {
      const waitingIn = (pool: string) =>
        lanesOf(pool).reduce((sum, lane) => sum + lane.dispatcher.waiting().length, 0);
      await Promise.all([backlog.load(waitingIn), poolControl.load()]);
    },
  });
  const pruner = createPruner({ store, clock, retention: parts.retention, onError });

  function drain(): void {
    isDraining = true;
    for (const { dispatcher } of lanes) dispatcher.drain();
  }

  const open = (pool: string) =>
    lanesOf(pool).reduce((sum, { dispatcher }) => sum + dispatcher.running(), settler.unwritten(pool));

  const numbers = createNumbers({
    ...{ store, backlog, clock, running: open, returning: settler.returning, pools },
    ...{ overrides: poolControl.overrides, decisions: autoscaler.decisions },
  });
  observeNumbers(parts.registry, numbers);
  parts.registry.observed((observe) => {
    observe("millpond.result.readers", readers.count());
    observe("millpond.result.unread", budget.reservedBytes());
    observe("millpond.result.limit", resultBudgetBytes);
  });

  async function ended(): Promise<void> {
    isDraining = true;
    await Promise.all(lanes.map(({ dispatcher }) => dispatcher.stop()));
    await flush();
  }

  return {
    name: "engine",
    ...{ admission, readers, backlog, stats, numbers, rateLimit, watchers, autoscaler, pools, poolControl },
    ...{ drain, ended },
    running: (pool) => (pool === undefined ? [...named.keys()] : [pool]).reduce((sum, name) => sum + open(name), 0),
    canceller: createCanceller({
      ...{ store, perClient, clock, backlog, stats, tracing },
      stop: stopOne,
    }),
    deadLetters: createDeadLetters({ store, perClient, clock, backlog, stats }),
    explain: createExplain({
      ...{ store, clock, isDraining: () => isDraining },
      laneOf(job) {
        const found = named.get(job.pool);
        if (!found) return undefined;
        const { pool, dispatcher } = isSuspect(job) ? found.suspects : found;
        const waiting = dispatcher.waiting().map(({ seq }) => seq);
        const { concurrency, startingMs } = pool;
        return {
          ...{ running: dispatcher.running(), waiting, workers: Math.max(pool.target(), 1), concurrency, startingMs },
          refusal: isSuspect(job) ? undefined : autoscaler.refusal(job.pool),
          ...{ pause: poolControl.overrides(job.pool).pause, isBroken: !pool.canRun() },
        };
      },
    }),
    async recover() {
      const recovered = await recoverLost({ store, clock, settle, flush });
      if (recovered > 0)
        log.warn({ jobs: recovered }, "jobs were running when the last process died: their attempts are lost");
      await poolControl.load();
      otherPools = await backlog.load();
      for (const pool of otherPools) log.warn({ pool }, "jobs wait in a pool that is not configured");
    },
    async start() {
      await leaseKeeper.start();
      await reaper.start();
      await autoscaler.start();
      for (const { dispatcher } of lanes) await dispatcher.start();
      await pruner.start();
      if (store.isShared) await poolPoll.start();
    },
    async stop() {
      drain();
      await Promise.all([pruner.stop(), reaper.stop(), autoscaler.stop(), poolPoll.stop(), ended()]);
      await leaseKeeper.stop();
      await flush();
      unsubscribe();
    },
  };
}

/** A pause and a resize also apply to the pool's suspects, which never have more workers than it. */
function controlled(
  { pool, dispatcher, suspects }: EnginePool,
  wakeAutoscaler: () => void,
): Omit<ControlledPool, "mostWorkers"> {
  const mostProcesses = suspects.pool.bounds().max;
  return {
    name: pool.name,
    configured: pool.bounds(),
    bounds: pool.bounds,
    setPaused(isPaused) {
      for (const lane of [dispatcher, suspects.dispatcher]) lane.setPaused(isPaused);
      wakeAutoscaler();
    },
    resize(bounds) {
      pool.resize(bounds);
      const processes = Math.min(bounds.max, mostProcesses);
      suspects.pool.resize({ min: 0, max: processes });
      suspects.pool.setTarget(processes);
      for (const lane of [dispatcher, suspects.dispatcher]) lane.hint();
      wakeAutoscaler();
    },
  };
}
