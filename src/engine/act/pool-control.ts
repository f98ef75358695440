/**
 * Pauses, resumes and resizes pools while the server runs. The store keeps the changes, and all servers that share it
 * follow.
 */
import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../../clock.ts";
import { closest } from "../../closest.ts";
import { type FieldViolation, invalid, refusal } from "../../errors.ts";
import type { Log, LogFields } from "../../log.ts";
import type {
  Overridden,
  OverrideRequest,
  PoolOverrides,
  PoolPause,
  PoolResize,
  WorkerBounds,
} from "../../store/pool-overrides.ts";
import type { Store } from "../../store/store.ts";

export type PoolControl = {
  /** Applies what the store has: at the start, and when another server may have changed it. */
  load(): Promise<void>;
  /** From now on no job of the pool starts. Durable on return. An already paused pool keeps its pause. */
  pause(pool: string, by: string): Promise<Overridden>;
  /** Ends the pause. */
  resume(pool: string, by: string): Promise<Overridden>;
  /**
   * Bounds the workers of the pool on each server; an absent bound stays. Null: resets both to the configuration.
   * Throws with the fields that are out of bounds, also if this server's memory has no room for the minimum.
   */
  resize(pool: string, bounds: Partial<WorkerBounds> | null, by: string): Promise<Resized>;
  /** The pause and resize of a pool that are in force. */
  overrides(pool: string): PoolOverrides;
  /** The paused pools, in the order of the configuration. */
  paused(): readonly PausedPool[];
};

export type Resized = {
  readonly isChanged: boolean;
  readonly before: WorkerBounds;
  readonly after: WorkerBounds;
  readonly resize: PoolResize | null;
};

/** `since`: an ISO 8601 time. */
export type PausedPool = { readonly pool: string; readonly by: string; readonly since: string };

/** The controllable part of a configured pool. */
export type ControlledPool = {
  readonly name: string;
  /** The configured bounds of its workers. */
  readonly configured: WorkerBounds;
  /** Upper bound on its workers, which depends on its concurrency. */
  readonly mostWorkers: number;
  /** The bounds in force. */
  bounds(): WorkerBounds;
  setPaused(isPaused: boolean): void;
  resize(bounds: WorkerBounds): void;
};

/** Upper bound on the sum of all pools' minima: the number of workers that fit into memory. */
export type MinimaRoom = { readonly workers: number; readonly why: string };

export type PoolControlParts = {
  readonly store: Pick<Store, "override" | "overrides">;
  readonly pools: readonly ControlledPool[];
  readonly minimaRoom: () => MinimaRoom;
  readonly clock: Clock;
  readonly log: Log;
};

const none: PoolOverrides = { pause: null, resize: null };

export function createPoolControl({ store, pools, minimaRoom, clock, log }: PoolControlParts): PoolControl {
  const inForce = new Map<string, PoolOverrides>();
  const overrides = (pool: string) => inForce.get(pool) ?? none;
  /** Number of completed changes: what was read before one of them is out of date. */
  let changes = 0;
  /** Pools whose mismatch with the configuration is in the log already. */
  const reported = new Set<string>();

  function reportOnce(pool: string, fields: LogFields, text: string): void {
    if (!reported.has(pool)) log.warn({ pool, ...fields }, text);
    reported.add(pool);
  }

  function find(name: string): ControlledPool {
    const names = pools.map((pool) => pool.name);
    const found = pools.find((pool) => pool.name === name);
    if (found) return found;
    const near = closest(name, names);
    const description = `is no pool of this server${near === undefined ? "" : `: did you mean "${near}"?`}`;
    throw refusal("unknown_pool", [name.slice(0, 100), names.join(", "), near], {
      violations: [{ field: "pool", description }],
    });
  }

  /** The room in memory for the minimum of a pool. */
  function roomFor(pool: ControlledPool): MinimaRoom {
    const { workers, why } = minimaRoom();
    const others = pools.reduce((sum, each) => sum + (each === pool ? 0 : each.bounds().min), 0);
    return { workers: Math.max(workers - others, 0), why };
  }

  function checkBounds(pool: ControlledPool, { min = 0, max = 1 }: Partial<WorkerBounds>): void {
    const violations: FieldViolation[] = [];
    const refuse = (field: string, value: number, bounds: string) =>
      violations.push({ field, description: `is ${value} and must be ${bounds}` });
    if (max < 1 || max > pool.mostWorkers) refuse("max_workers", max, `1 to ${pool.mostWorkers}`);
    const room = roomFor(pool);
    const most = Math.max(room.workers, pool.bounds().min);
    if (min > most) refuse("min_workers", min, `0 to ${most}: ${room.why}`);
    if (violations.length > 0) throw invalid(violations);
  }

  /**
   * Clamps the minimum: one that does not fit into memory, set on another server or an earlier start, would get this
   * server killed.
   */
  function fitting(pool: ControlledPool, { min, max }: WorkerBounds): WorkerBounds {
    const room = roomFor(pool);
    const most = Math.max(room.workers, pool.configured.min);
    if (min <= most) return { min, max };
    log.warn(
      { pool: pool.name, min, fits: most, why: room.why },
      "the pool keeps fewer workers than it was resized to",
    );
    return { min: most, max };
  }

  async function change(pool: ControlledPool, request: Omit<OverrideRequest, "pool">, by: string): Promise<Overridden> {
    const overridden = await store.override({ pool: pool.name, ...request });
    changes += 1;
    apply(pool, overridden.after, by);
    return overridden;
  }

  /** `by`: the client that requested it from this server. */
  function apply(pool: ControlledPool, next: PoolOverrides, by?: string): void {
    const { name } = pool;
    const { pause, resize } = overrides(name);
    inForce.set(name, next);
    if (!isDeepStrictEqual(resize, next.resize)) {
      const { min, max } = next.resize ?? pool.configured;
      if (next.resize) {
        const fields = { min, max, by: next.resize.by, since: isoTime(next.resize.at), configured: pool.configured };
        log.warn({ pool: name, ...fields }, "the pool is resized: its configuration's workers do not apply");
      } else log.info({ pool: name, min, max, by }, "the pool has the workers of its configuration again");
      pool.resize(next.resize ? fitting(pool, { min, max }) : { min, max });
    }
    if (!isDeepStrictEqual(pause, next.pause)) {
      if (next.pause) log.warn({ pool: name, ...pauseFields(next.pause) }, "the pool is paused: its jobs wait");
      else log.info({ pool: name, by }, "the pool is resumed");
      pool.setPaused(next.pause !== null);
    }
  }

  return {
    async load() {
      const before = changes;
      const stored = await store.overrides();
      if (changes !== before) return;
      for (const pool of pools) {
        const { name, configured } = pool;
        apply(pool, stored.get(name) ?? none);
        const { resize } = overrides(name);
        if (resize && !isDeepStrictEqual(resize.configured, configured)) {
          const text =
            "the pool was resized under another configuration than this one, which does not apply until a reset";
          reportOnce(name, { configured, before: resize.configured }, text);
        }
      }
      for (const name of stored.keys()) {
        if (pools.some((pool) => pool.name === name)) continue;
        reportOnce(
          name,
          {},
          "a pool is paused or resized and not configured: that applies when it is configured again",
        );
      }
    },
    pause: async (pool, by) => change(find(pool), { pause: { by, at: clock.now() } }, by),
    resume: async (pool, by) => change(find(pool), { pause: null }, by),
    async resize(name, bounds, by) {
      const pool = find(name);
      const { configured } = pool;
      if (bounds) checkBounds(pool, bounds);
      const resize = bounds && { ...bounds, by, at: clock.now(), configured };
      const { before, after } = await change(pool, { resize }, by);
      const boundsOf = ({ resize: each }: PoolOverrides) => each ?? configured;
      if (bounds) checkOrder(bounds, boundsOf(before));
      return {
        isChanged: !isDeepStrictEqual(before.resize, after.resize),
        ...{ before: minMax(boundsOf(before)), after: minMax(boundsOf(after)), resize: after.resize },
      };
    },
    overrides,
    paused: () =>
      pools.flatMap(({ name }) => {
        const { pause } = overrides(name);
        return pause ? [{ pool: name, ...pauseFields(pause) }] : [];
      }),
  };
}

function minMax({ min, max }: WorkerBounds): WorkerBounds {
  return { min, max };
}

/** Throws if the requested bounds, together with those that stay, cross. */
function checkOrder(asked: Partial<WorkerBounds>, inForce: WorkerBounds): void {
  const { min, max } = { ...inForce, ...asked };
  if (min <= max) return;
  throw invalid([
    asked.min === undefined
      ? { field: "max_workers", description: `is ${max} and must be at least min_workers, which is ${min}` }
      : { field: "min_workers", description: `is ${min} and must be 0 to max_workers, which is ${max}` },
  ]);
}

function pauseFields({ by, at }: PoolPause) {
  return { by, since: isoTime(at) };
}

function isoTime(at: number): string {
  return new Date(at).toISOString();
}
