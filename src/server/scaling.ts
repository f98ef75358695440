/** How far the pools may grow, given the configuration, the cores, and the memory of the container or the machine. */
import { totalmem } from "node:os";
import type { Clock } from "../clock.ts";
import type { Config } from "../config.ts";
import { mostWorkersAt } from "../config/rules.ts";
import type { EngineParts } from "../engine/engine.ts";
import { createCeilings, type Memory } from "../engine/dispatch/scaling-ceilings.ts";
import type { Log } from "../log.ts";
import type { Pool } from "../pool/pool.ts";

const mebibyte = 2 ** 20;
/** Share of the container's limit or the machine's memory. The rest is for child processes and the kernel. */
const share = 0.9;

/** Bounds on the workers of the pools, and warnings if the current ones do not fit into memory or the cores. */
export type Scaling = EngineParts["scaling"] & { warnOfMisfit(): void };

/** Call it before any worker starts: the memory that the process uses now is not available to workers. */
export function scalingOf(
  { autoscale, pools: configured }: Pick<Config, "autoscale" | "pools">,
  { pools, clock, log }: { readonly pools: readonly Pool[]; readonly clock: Clock; readonly log: Log },
): Scaling {
  const { pollMs, cores, memoryMiB, workerMiB, ...rule } = autoscale;
  const memory = () => readMemory(memoryMiB);
  const { usedBytes } = memory();
  const cpuPools = new Set(pools.map(({ name }) => name).filter((name) => configured[name]?.work === "cpu"));
  const ceilings = createCeilings({ pools, cpuPools, cores, workerBytes: workerMiB * mebibyte, memory, clock });
  return {
    ...{ rule, pollMs, ceilings, mostWorkersAt },
    minimaRoom() {
      const { limitBytes } = memory();
      const workers = Math.max(Math.floor((limitBytes - usedBytes) / (workerMiB * mebibyte)), 0);
      const [limitMiB, usedMiB] = [limitBytes, usedBytes].map((bytes) => Math.round(bytes / mebibyte));
      const why = `the minima of all pools may be ${workers} together, for a worker takes ${workerMiB} MiB (autoscale.workerMiB), and of ${limitMiB} MiB (autoscale.memoryMiB) the server itself has ${usedMiB} MiB`;
      return { workers, why };
    },
    warnOfMisfit() {
      const inForce = pools.map((pool) => {
        const { min, max } = pool.bounds();
        return [pool.name, { minWorkers: min, maxWorkers: max }] as const;
      });
      const forCpu = inForce.filter(([name]) => cpuPools.has(name));
      const misfits = [
        misfitOf(Object.fromEntries(inForce), workerMiB, { ...memory(), usedBytes }),
        crowdOf(Object.fromEntries(forCpu), cores),
      ];
      for (const misfit of misfits) if (misfit) log.warn(misfit.fields, misfit.message);
    },
  };
}

/**
 * `limitMiB`: the configured limit; null: derived from the container or the machine, and may change while the server
 * runs.
 */
export function readMemory(limitMiB: number | null): Memory {
  const usedBytes = process.memoryUsage.rss();
  return {
    usedBytes,
    limitBytes: limitMiB === null ? ownLimit(process.constrainedMemory(), totalmem()) : limitMiB * mebibyte,
  };
}

/**
 * `constrained`: the limit of cgroup v1 or v2; 0, or more than the machine has, means no limit.
 */
export function ownLimit(constrained: number, total: number): number {
  return Math.floor(share * (constrained > 0 ? Math.min(constrained, total) : total));
}

/** A warning for operators that the pools do not fit. */
export type Misfit = { readonly message: string; readonly fields: { readonly [name: string]: unknown } };

type Sizes = { readonly [pool: string]: Pick<Config["pools"][string], "minWorkers" | "maxWorkers"> };

/** Pools for CPU work whose minima exceed the cores. Undefined: they fit. */
export function crowdOf(pools: Sizes, cores: number): Misfit | undefined {
  const minima = Object.entries(pools).filter(([, { minWorkers }]) => minWorkers > 0);
  const workers = minima.reduce((sum, [, { minWorkers }]) => sum + minWorkers, 0);
  if (workers <= cores) return undefined;
  const sizes = Object.fromEntries(minima.map(([name, { minWorkers }]) => [name, minWorkers]));
  const message =
    "the pools for CPU work keep more workers than there are cores, which makes their jobs slower and no job earlier: lower their min, or raise autoscale.cores";
  return { message, fields: { pools: sizes, workers, cores } };
}

/** Pools that exceed the memory. `memory`: usage without any worker. Undefined: they fit. */
export function misfitOf(pools: Sizes, workerMiB: number, { usedBytes, limitBytes }: Memory): Misfit | undefined {
  const all = Object.entries(pools);
  const needMiB = (size: "minWorkers" | "maxWorkers") =>
    Math.round(usedBytes / mebibyte) + all.reduce((sum, [, pool]) => sum + pool[size] * workerMiB, 0);
  const misfit = (size: "minWorkers" | "maxWorkers", message: string): Misfit => {
    const sizes = Object.fromEntries(
      all.filter(([, pool]) => pool[size] > 0).map(([name, pool]) => [name, pool[size]]),
    );
    return { message, fields: { pools: sizes, needMiB: needMiB(size), limitMiB: Math.floor(limitBytes / mebibyte) } };
  };
  const limitMiB = limitBytes / mebibyte;
  if (usedBytes > limitBytes) {
    return misfit(
      "maxWorkers",
      "the server uses more memory than its limit even without workers: no pool grows beyond its min or a first worker; raise autoscale.memoryMiB, or give the server more",
    );
  }
  if (needMiB("minWorkers") > limitMiB) {
    return misfit(
      "minWorkers",
      "the pools do not fit into memory even with their min workers: lower their min, or give the server more",
    );
  }
  if (needMiB("maxWorkers") <= limitMiB) return undefined;
  return misfit("maxWorkers", "the pools do not fit into memory with their max workers: they stop growing before that");
}
