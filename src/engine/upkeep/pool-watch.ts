/**
 * Polls whether the pools can run jobs, for health: a pool whose threads do not start would accept jobs and run none.
 */
import type { Clock } from "../../clock.ts";
import { createLoop, type Service } from "../../lifecycle.ts";
import type { Log } from "../../log.ts";
import type { Pool } from "../../pool/pool.ts";

export type PoolWatch = Service & {
  /** Names of the pools that cannot run jobs, in the order of the configuration. */
  broken(): readonly string[];
};

export type PoolWatchParts = {
  readonly pools: readonly Pick<Pool, "name" | "canRun">[];
  readonly clock: Clock;
  /** Called after `broken` has changed. */
  readonly onChanged: () => void;
  readonly log: Log;
};

const everyMs = 1_000;
/**
 * A pool is broken when it cannot run jobs at this many polls in a row, so that one whose threads are being replaced is
 * not.
 */
const failuresUntilBroken = 2;

export function createPoolWatch({ pools, clock, onChanged, log }: PoolWatchParts): PoolWatch {
  /** Failed polls in a row, by pool. */
  const failures = new Map<string, number>();
  let broken: readonly string[] = [];

  function poll(): void {
    for (const { name, canRun } of pools) failures.set(name, canRun() ? 0 : (failures.get(name) ?? 0) + 1);
    const before = broken;
    broken = pools.map(({ name }) => name).filter((name) => (failures.get(name) ?? 0) >= failuresUntilBroken);
    const failed = broken.filter((name) => !before.includes(name));
    const recovered = before.filter((name) => !broken.includes(name));
    for (const pool of failed)
      log.error({ pool }, "the pool has no worker that could run a job: health says NOT_SERVING");
    for (const pool of recovered) log.info({ pool }, "the pool has workers again");
    if (failed.length + recovered.length > 0) onChanged();
  }

  return {
    ...createLoop({ name: "pool watch", clock, everyMs, startsAtOnce: true, round: poll }),
    broken: () => broken,
  };
}
