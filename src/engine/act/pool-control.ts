/** What operators change of pools while the server runs. The store keeps it, and every server that shares the store follows. */
import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../../clock.ts";
import { closest } from "../../closest.ts";
import { refusal } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { Overridden, PoolOverrides, PoolPause } from "../../store/pool-overrides.ts";
import type { Store } from "../../store/store.ts";

export type PoolControl = {
  /** Reads what the store has and applies it: at the start, and where another server may have changed it. */
  load(): Promise<void>;
  /** Nothing of the pool starts from now on. Durable on return. A pool that is paused keeps its pause. */
  pause(pool: string, by: string): Promise<Overridden>;
  /** Ends the pause. */
  resume(pool: string, by: string): Promise<Overridden>;
  /** What is in force of a pool. */
  overrides(pool: string): PoolOverrides;
  /** The pools that are paused, in the order of the configuration. */
  paused(): readonly PausedPool[];
};

/** `since`: an ISO 8601 time. */
export type PausedPool = { readonly pool: string; readonly by: string; readonly since: string };

/** A pool of the configuration, as far as it can be controlled. */
export type ControlledPool = {
  readonly name: string;
  setPaused(isPaused: boolean): void;
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
  let unconfigured: readonly string[] = [];

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
    const { pause } = overrides(name);
    inForce.set(name, next);
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
      for (const pool of pools) apply(pool, stored.get(pool.name) ?? none);
      const unknown = [...stored.keys()].filter((name) => !pools.some((pool) => pool.name === name));
      for (const pool of unknown.filter((name) => !unconfigured.includes(name)))
        log.warn(
          { pool },
          "a pool that is not configured is paused or resized: it will be when it is configured again",
        );
      unconfigured = unknown;
    },
    pause: (pool, by) => change(pool, { pause: { by, at: clock.now() } }, by),
    resume: (pool, by) => change(pool, { pause: null }, by),
    overrides,
    paused: () =>
      pools.flatMap(({ name }) => {
        const { pause } = overrides(name);
        return pause ? [{ pool: name, ...pauseFields(pause) }] : [];
      }),
  };
}

function pauseFields({ by, at }: PoolPause) {
  return { by, since: new Date(at).toISOString() };
}
