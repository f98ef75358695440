/**
 * Gives each pool as many workers as its jobs need. It polls, so that jobs cost nothing here, and queries the store
 * only about pools that can grow and have due jobs that their dispatcher does not hold. It rests while every pool is at
 * its minimum and no job waits.
 *
 * Each server scales its own pools. In a store that several servers share, each counts all waiting jobs.
 */
import type { Clock } from "../../clock.ts";
import { createLoop, type Service } from "../../lifecycle.ts";
import type { Log } from "../../log.ts";
import type { Pool } from "../../pool/pool.ts";
import type { Eligible, Store } from "../../store/store.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Ceiling, Ceilings } from "./scaling-ceilings.ts";
import { createPeak, decide, type Peak, type PoolLoad, type ScalingRule } from "./scaling-rule.ts";

export type AutoscalerParts = {
  readonly pools: readonly ScaledPool[];
  readonly store: Pick<Store, "eligible">;
  readonly clock: Clock;
  readonly rule: ScalingRule;
  readonly pollMs: number;
  readonly ceilings: Ceilings;
  /** Whether no job may start because too many outcomes wait to be written. */
  readonly isBehind: () => boolean;
  /**
   * Handles a failed call of the store. Returns the delay of the next try in milliseconds; undefined: there is none.
   */
  readonly onError: (error: unknown) => number | undefined;
  readonly log: Log;
};

export type ScaledPool = {
  readonly pool: Pick<Pool, "name" | "concurrency" | "bounds" | "target" | "setTarget" | "canRun">;
  readonly dispatcher: Pick<Dispatcher, "isPaused" | "isLeasing" | "mayHaveMore" | "waiting" | "chunkPeak" | "hint">;
};

/** A change of a pool's target, or a refused growth, whose `from` and `to` are equal. */
export type Scaling = { readonly at: number; readonly from: number; readonly to: number; readonly why: string };

export type Autoscaler = Service & {
  /** A pool has jobs to run, or its bounds or pause have changed: the next round starts within `pollMs`. */
  wake(): void;
  /** Why a pool that needs more workers gets none; undefined: it needs none, or gets them. */
  refusal(pool: string): string | undefined;
  /** The latest decisions about a pool, newest first, at most `keptDecisions`. */
  decisions(pool: string): readonly Scaling[];
};

export const keptDecisions = 10;
/** A refusal that was not repeated for this long is over. */
const currentMs = 1_000;
/** Waiting jobs of a pool are counted up to this. */
export const maxCounted = 10_000;

type State = ScaledPool & {
  /** As last decided. The pool's own target may differ, because a resize clamps it to the new bounds. */
  target: number;
  /** Number of workers that were needed. */
  readonly needed: Peak;
  readonly decisions: Scaling[];
  /** When it last grew, by the monotonic clock. */
  grewAtMs: number;
  /** The last refusal of growth, and when it was last repeated; undefined: growth was granted since. */
  refused: (Ceiling & { readonly atMs: number }) | undefined;
};

const nothing: Eligible = { jobs: 0, oldestAt: null };
const some: Eligible = { jobs: 1, oldestAt: null };

export function createAutoscaler(parts: AutoscalerParts): Autoscaler {
  const { store, clock, rule, ceilings, log } = parts;
  const states: State[] = parts.pools.map((pool) => ({
    ...pool,
    ...{
      target: 0,
      needed: createPeak(rule.idleMs),
      decisions: [],
      grewAtMs: Number.NEGATIVE_INFINITY,
      refused: undefined,
    },
  }));
  const loop = createLoop({
    ...{ name: "autoscaler", clock, everyMs: parts.pollMs, startsAtOnce: true, onError: parts.onError },
    round() {
      const asked = states.filter(hasStoredWork);
      return asked.length > 0 ? count(asked).then(scaleAll) : scaleAll(new Map());
    },
  });

  /** Whether jobs may wait in the store, and the pool may grow because of them. */
  function hasStoredWork(state: State): boolean {
    const { pool, dispatcher } = state;
    return pool.target() < pool.bounds().max && stopped(state) === undefined && dispatcher.mayHaveMore();
  }

  async function count(asked: readonly State[]): Promise<ReadonlyMap<State, Eligible>> {
    const pools = asked.map(({ pool }) => {
      const workers = Math.min(2 * Math.max(pool.target(), 1), pool.bounds().max);
      return {
        pool: pool.name,
        max: Math.min(workers * Math.max(rule.jobsPerWorker, pool.concurrency) + 1, maxCounted),
      };
    });
    const found = await store.eligible({ pools, now: clock.now() });
    return new Map(asked.map((state, index) => [state, found[index] ?? nothing]));
  }

  /** Returns the delay of the next round: see `createLoop`. */
  function scaleAll(stored: ReadonlyMap<State, Eligible>): number | undefined {
    let isResting = true;
    for (const state of states) {
      const load = loadOf(state, stored.get(state) ?? uncounted(state));
      scale(state, load);
      const { min, max } = load;
      isResting &&= state.target === min && (min === max || load.stopped !== undefined || !hasWork(state));
    }
    return isResting ? Number.POSITIVE_INFINITY : undefined;
  }

  /** The number does not matter for a pool that cannot grow, but it does not shrink while there may be jobs. */
  const uncounted = ({ dispatcher }: State) => (dispatcher.mayHaveMore() ? some : nothing);

  const hasWork = ({ dispatcher }: State) => dispatcher.mayHaveMore() || dispatcher.waiting().length > 0;

  function stopped({ dispatcher }: State): string | undefined {
    if (!dispatcher.isLeasing()) return "the server starts no more jobs";
    return dispatcher.isPaused() ? "the pool is paused" : undefined;
  }

  function loadOf(state: State, stored: Eligible): PoolLoad {
    const { pool, dispatcher, needed, grewAtMs } = state;
    const nowMs = clock.monotonicMs();
    const now = clock.now();
    const { concurrency } = pool;
    const waiting = dispatcher.waiting();
    const { running, peak } = dispatcher.chunkPeak();
    needed.record(Math.ceil(peak / concurrency), nowMs);
    const why = stopped(state);
    if (why !== undefined) needed.clear(); // after a pause the pool grows by the jobs that are there then
    const oldestAt = waiting.reduce((at, { runAt }) => Math.min(at, runAt), stored.oldestAt ?? now);
    return {
      ...{ ...pool.bounds(), target: state.target, concurrency },
      ...{ stopped: why, isBlocked: !pool.canRun() || parts.isBehind() },
      ...{ eligible: stored.jobs + waiting.length, oldestMs: now - oldestAt },
      isFull: running >= pool.target() * concurrency,
      ...{ needed: needed.value(nowMs), sinceGrowthMs: nowMs - grewAtMs },
    };
  }

  function scale(state: State, load: PoolLoad): void {
    const decision = decide(rule, load);
    if (!decision) return;
    const { target, why } = decision;
    const from = load.target;
    const grows = target > Math.max(from, load.min, 1); // the minimum and a first worker are always granted
    const ceiling = grows ? ceilings(state.pool.name) : undefined;
    const isRefused = ceiling !== undefined && target - from > ceiling.workers;
    const to = isRefused ? from + ceiling.workers : target;
    if (to !== from) {
      if (to > from) state.grewAtMs = clock.monotonicMs();
      setTarget(state, to);
      if (to > from) state.dispatcher.hint(); // the pool does not report its new places
      keep(state, { at: clock.now(), from, to, why });
      log.info({ pool: state.pool.name, from, to, why }, `a pool ${to > from ? "grows" : "shrinks"}`);
    }
    if (isRefused) refuse(state, ceiling, to);
    else if (grows) state.refused = undefined;
  }

  function setTarget(state: State, workers: number): void {
    state.target = workers;
    state.pool.setTarget(workers);
  }

  /** Each poll may refuse again: repeated refusals are one decision until there was none for `idleMs`. */
  function refuse(state: State, ceiling: Ceiling, workers: number): void {
    const { refused, pool } = state;
    const nowMs = clock.monotonicMs();
    state.refused = { ...ceiling, atMs: nowMs };
    if (refused?.by === ceiling.by && nowMs - refused.atMs < rule.idleMs) return;
    const why = refusalText(ceiling);
    keep(state, { at: clock.now(), from: workers, to: workers, why });
    log.warn({ pool: pool.name, workers, why }, "a pool does not grow");
  }

  function keep({ decisions }: State, scaling: Scaling): void {
    decisions.unshift(scaling);
    decisions.length = Math.min(decisions.length, keptDecisions);
  }

  const stateOf = (name: string) => states.find(({ pool }) => pool.name === name);
  return {
    ...loop,
    async start() {
      for (const state of states) setTarget(state, state.pool.bounds().min);
      await loop.start();
    },
    decisions: (name) => stateOf(name)?.decisions ?? [],
    refusal(name) {
      const refused = stateOf(name)?.refused;
      return refused && clock.monotonicMs() - refused.atMs < currentMs ? refusalText(refused) : undefined;
    },
  };
}

function refusalText({ by, why }: Ceiling): string {
  return `${by === "memory" ? "memory allows" : "cores allow"} no more workers: ${why}`;
}
