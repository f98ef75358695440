/** What operators change of pools while the server runs. The store keeps it, and every server that shares the store follows. */
import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../../clock.ts";
import { closest } from "../../closest.ts";
import { refusal } from "../../errors.ts";
import type { Log, LogFields } from "../../log.ts";
import type { Overridden, PoolOverrides, PoolPause, PoolResize, WorkerBounds } from "../../store/pool-overrides.ts";
import type { Store } from "../../store/store.ts";

export type PoolControl = {
  /** Reads what the store has and applies it: at the start, and where another server may have changed it. */
  load(): Promise<void>;
  /** Nothing of the pool starts from now on. Durable on return. A pool that is paused keeps its pause. */
  pause(pool: string, by: string): Promise<Overridden>;
  /** Ends the pause. */
  resume(pool: string, by: string): Promise<Overridden>;
  /**
   * Bounds the workers of the pool, of each server; what is not given stays. Null: as the configuration has them. Nothing is
   * written when they are so already.
   */
  resize(pool: string, bounds: Partial<WorkerBounds> | null, by: string): Promise<Resized>;
  /** The bounds in force. Throws `unknown_pool`, as all of these do. */
  bounds(pool: string): WorkerBounds;
  /** What is in force of a pool. */
  overrides(pool: string): PoolOverrides;
  /** The pools that are paused, in the order of the configuration. */
  paused(): readonly PausedPool[];
};

export type Resized = {
  readonly before: WorkerBounds;
  readonly after: WorkerBounds;
  readonly resize: PoolResize | null;
};

/** `since`: an ISO 8601 time. */
export type PausedPool = { readonly pool: string; readonly by: string; readonly since: string };

/** A pool of the configuration, as far as it can be controlled. */
export type ControlledPool = {
  readonly name: string;
  /** The bounds of its workers in the configuration. */
  readonly configured: WorkerBounds;
  setPaused(isPaused: boolean): void;
  resize(bounds: WorkerBounds): void;
};

export type PoolControlParts = {
  readonly store: Pick<Store, "override" | "overrides">;
  readonly pools: readonly ControlledPool[];
  readonly clock: Clock;
  readonly log: Log;
};

const none: PoolOverrides = { pause: null, resize: null };

export function createPoolControl({ store, pools, clock, log }: PoolControlParts): PoolControl {
  const inForce = new Map<string, PoolOverrides>();
  const overrides = (pool: string) => inForce.get(pool) ?? none;
  /** How often a change was answered: what was read before one of them is out of date. */
  let changes = 0;
  /** Pools of which the log has said that what is kept of them does not fit the configuration. */
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

  function boundsOf(name: string): WorkerBounds {
    const { min, max } = overrides(name).resize ?? find(name).configured;
    return { min, max };
  }

  async function change(name: string, request: Partial<PoolOverrides>, by: string): Promise<Overridden> {
    const pool = find(name);
    const overridden = await store.override({ pool: name, ...request });
    changes += 1;
    apply(pool, overridden.after, by);
    return overridden;
  }

  /** `by`: who asked this server for it. */
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
      pool.resize({ min, max });
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
          const text = "the pool's configuration has changed since it was resized, and does not apply until a reset";
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
    pause: (pool, by) => change(pool, { pause: { by, at: clock.now() } }, by),
    resume: (pool, by) => change(pool, { pause: null }, by),
    async resize(name, bounds, by) {
      const { configured } = find(name);
      const { resize } = overrides(name);
      const before = boundsOf(name);
      const after = bounds ? { ...before, ...bounds } : configured;
      const isAsWanted = bounds ? isDeepStrictEqual(after, before) : resize === null;
      if (isAsWanted) return { before, after: before, resize };
      const wanted = bounds && { min: after.min, max: after.max, by, at: clock.now(), configured };
      const overridden = await change(name, { resize: wanted }, by);
      return { before, after, resize: overridden.after.resize };
    },
    bounds: boundsOf,
    overrides,
    paused: () =>
      pools.flatMap(({ name }) => {
        const { pause } = overrides(name);
        return pause ? [{ pool: name, ...pauseFields(pause) }] : [];
      }),
  };
}

function pauseFields({ by, at }: PoolPause) {
  return { by, since: isoTime(at) };
}

function isoTime(at: number): string {
  return new Date(at).toISOString();
}
