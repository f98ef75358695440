/** Wires the engine's parts: what the data passes between a front end, the store and the pools. */
import type { Clock } from "../clock.ts";
import { defaultRetryPolicy } from "../job/backoff.ts";
import type { Service } from "../lifecycle.ts";
import type { Log } from "../log.ts";
import type { Ended, Pool } from "../pool/pool.ts";
import type { Tasks } from "../pool/tasks.ts";
import type { Store } from "../store/store.ts";
import type { Tracing } from "../telemetry/instruments.ts";
import { type Admission, type AdmissionLimits, createAdmission } from "./admission.ts";
import { type Backlog, createBacklog } from "./backlog.ts";
import { createDispatcher, type Dispatcher } from "./dispatcher.ts";
import { createPruner, type Retention } from "./pruner.ts";
import { createRateLimit, type RateLimit, type Rates } from "./rate-limit.ts";
import { recoverLost } from "./reaper.ts";
import { createResultReaders, type ResultReaders } from "./results.ts";
import { createSettler } from "./settler.ts";
import { createStats, type Stats } from "./stats.ts";

export type EngineParts = {
  readonly store: Store;
  readonly tasks: Tasks;
  readonly pools: readonly Pool[];
  readonly clock: Clock;
  readonly tracing: Tracing;
  /** This server process: unique for each start. */
  readonly owner: string;
  readonly maxChunk: number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly newId: () => string;
  readonly rates: Rates;
  readonly limits: AdmissionLimits & {
    /** Streams of results that one client may have open. */
    readonly resultStreams: number;
    /** Outputs and failures that one batch of results holds, as they are stored. */
    readonly resultBatchBytes: number;
  };
  /** Bound on waiting jobs, by pool. */
  readonly maxQueued: ReadonlyMap<string, number>;
  readonly retention: Retention;
  /** The store failed: nothing is leased any more. */
  readonly onError: (error: Error) => void;
  readonly log: Log;
};

/** `stop` leases nothing more and resolves once what ran has ended and is written; the pools decide how long it takes. */
export type Engine = Service & {
  /** Takes over what the last process left, and starts no job yet. Comes before `start` and before any request. */
  recover(): Promise<void>;
  readonly admission: Admission;
  readonly readers: ResultReaders;
  readonly backlog: Backlog;
  readonly stats: Stats;
  readonly rateLimit: RateLimit;
  readonly pools: readonly { readonly pool: Pool; readonly dispatcher: Dispatcher }[];
};

export function createEngine(parts: EngineParts): Engine {
  const { store, tasks, clock, owner, log } = parts;
  const onError = (error: unknown) => parts.onError(error instanceof Error ? error : new Error(String(error)));
  const backlog = createBacklog(store, parts.maxQueued);
  const stats = createStats(clock);
  const rateLimit = createRateLimit(parts.rates, clock);
  const { resultStreams, resultBatchBytes } = parts.limits;
  const readers = createResultReaders(store, { maxPerClient: resultStreams, maxBatchBytes: resultBatchBytes });
  const dispatchers = new Map<string, Dispatcher>();

  const settler = createSettler({
    store,
    backlog,
    random: parts.random,
    policyOf: (task) => tasks.get(task)?.retry ?? defaultRetryPolicy,
    hintResults: readers.hint,
    hintPool: (pool, dueAt) => dispatchers.get(pool)?.hintAt(dueAt),
    onCaughtUp() {
      for (const dispatcher of dispatchers.values()) dispatcher.hint();
    },
    onSettled(ended) {
      stats.ended(ended);
      for (const each of ended) parts.tracing.attempt(traced(each));
    },
    onError,
  });
  const pools = parts.pools.map((pool) => {
    const dispatcher = createDispatcher({
      ...{ pool, store, backlog, clock, owner, maxChunk: parts.maxChunk, onError },
      ...{ settle: settler.settle, isBehind: settler.isBehind },
      hasTask: (task) => tasks.get(task)?.pool === pool.name,
    });
    dispatchers.set(pool.name, dispatcher);
    return { pool, dispatcher };
  });
  const admission = createAdmission({
    ...{ tasks, store, backlog, rateLimit, stats, clock, limits: parts.limits, newId: parts.newId },
    hint: (pool) => dispatchers.get(pool)?.hint(),
  });
  const pruner = createPruner({ store, clock, retention: parts.retention, onError });

  return {
    name: "engine",
    ...{ admission, readers, backlog, stats, rateLimit, pools },
    async recover() {
      const { settle, flush } = settler;
      const recovered = await recoverLost({ store, clock, owner, settle, flush });
      if (recovered > 0) log.warn({ jobs: recovered }, "jobs were running when the last process died: they run again");
      for (const pool of await backlog.load()) log.warn({ pool }, "jobs wait in a pool that is not configured");
    },
    async start() {
      for (const { dispatcher } of pools) await dispatcher.start();
      await pruner.start();
    },
    async stop() {
      await Promise.all([pruner.stop(), ...pools.map(({ dispatcher }) => dispatcher.stop())]);
      await settler.flush();
    },
  };
}

function traced({ lease, outcome, startedAt, finishedAt }: Ended) {
  const { trace, id, client, task, pool, attempt, runAt } = lease;
  return {
    ...{ trace, jobId: id, client, task, pool, attempt, startedAt, finishedAt },
    dueAt: runAt,
    outcome: outcome.kind,
    ...(outcome.kind === "failed" && { error: outcome.failure.message }),
  };
}
