/** Advice on the size of each pool, from the measurements of this server. */
import type { Clock } from "../../clock.ts";
import type { Service } from "../../lifecycle.ts";
import { advise, type MeasuredPool, type PoolAdvice, type Work } from "./pool-advice.ts";
import { createPoolUsages, type PoolLoad, type PoolUsageParts } from "./pool-usage.ts";
import type { Stats } from "./stats.ts";

export type { PoolSizing } from "./pool-advice.ts";

export type AdvisedPool = { readonly pool: string; readonly measured: MeasuredPool; readonly advice: PoolAdvice };

export type PoolAdviser = Service & { advise(): Promise<readonly AdvisedPool[]> };

/** The current state of a pool. */
export type AdvisablePool = PoolLoad & {
  readonly minWorkers: number;
  readonly maxWorkers: number;
};

export type PoolAdviserParts = {
  readonly clock: Clock;
  readonly cores: number;
  readonly pools: () => readonly AdvisablePool[];
  readonly workOf: (pool: string) => Work;
  readonly stats: Pick<Stats, "tasks">;
} & Pick<PoolUsageParts, "cpuMs" | "isCrowded">;

export function createPoolAdviser(parts: PoolAdviserParts): PoolAdviser {
  const { cores, pools, workOf, stats } = parts;
  const usages = createPoolUsages(parts);

  function measure({ pool, minWorkers: min, maxWorkers: max, concurrency }: AdvisablePool): MeasuredPool {
    const tasks = stats.tasks().filter((task) => task.pool === pool);
    const waits = tasks.flatMap(({ queueWait }) => queueWait ?? []);
    return {
      ...usages.of(pool),
      ...{ now: { work: workOf(pool), min, max, concurrency }, cores },
      attempts: tasks.reduce((sum, { succeeded, failed }) => sum + succeeded + failed, 0),
      // those of the task with the longest waits, because that one needs the workers
      waitMs: waits.length === 0 ? null : { p50: most(waits, "p50"), p99: most(waits, "p99") },
    };
  }

  return {
    ...{ name: usages.name, start: usages.start, stop: usages.stop },
    async advise() {
      await usages.update();
      return pools().map((each) => {
        const measured = measure(each);
        return { pool: each.pool, measured, advice: advise(measured) };
      });
    },
  };
}

function most(waits: readonly { readonly p50: number; readonly p99: number }[], of: "p50" | "p99"): number {
  return Math.max(...waits.map((wait) => wait[of]));
}
