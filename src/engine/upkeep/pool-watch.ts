/** Polls whether the pools can run jobs, for health: a pool whose threads do not start would take jobs and run none. */
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
  /** Called when `broken` has changed. */
  readonly onChanged: () => void;
  readonly log: Log;
};

const everyMs = 1_000;
/** A pool that cannot run jobs at this many polls in a row is broken: threads that are being replaced do not count. */
const looksUntilBroken = 2;

export function createPoolWatch({ pools, clock, onChanged, log }: PoolWatchParts): PoolWatch {
  const badLooks = new Map<string, number>();
  let broken: readonly string[] = [];

  function look(): void {
    for (const { name, canRun } of pools) badLooks.set(name, canRun() ? 0 : (badLooks.get(name) ?? 0) + 1);
    const before = broken;
    broken = pools.map(({ name }) => name).filter((name) => (badLooks.get(name) ?? 0) >= looksUntilBroken);
    const gone = broken.filter((name) => !before.includes(name));
    const back = before.filter((name) => !broken.includes(name));
    for (const pool of gone)
      log.error({ pool }, "the pool has no worker that could run a job: health says NOT_SERVING");
    for (const pool of back) log.info({ pool }, "the pool has workers again");
    if (gone.length + back.length > 0) onChanged();
  }

  return {
    ...createLoop({ name: "pool watch", clock, everyMs, startsAtOnce: true, round: look }),
    broken: () => broken,
  };
}
