/** Creates the pools of the configuration: each has one of threads, and one of processes for its suspects. */
import type { Clock } from "../clock.ts";
import type { Config } from "../config.ts";
import type { Log } from "../log.ts";
import { createIsolatedPool } from "../pool/isolated/pool.ts";
import { createPool, type Pool, type PoolOptions, type ThreadPool } from "../pool/pool.ts";
import type { PoolCode } from "../pool/port.ts";
import { createReloadablePool, type ReloadablePool } from "../pool/reloadable.ts";
import type { LoadedTask, LoadedTasks } from "../pool/tasks.ts";

export type ServerPools = {
  readonly pools: readonly ThreadPool[];
  readonly isolated: readonly Pool[];
  /** Makes the pools use the current tasks. Only with `watch`. */
  reload(): void;
};

export type ServerPoolsParts = Pick<PoolOptions, "isTraced" | "resourceHost"> & {
  readonly config: Config;
  /** The tasks that are served now. */
  readonly loaded: () => LoadedTasks;
  readonly clock: Clock;
  readonly log: Log;
};

/**
 * Bound on the suspects of a pool that run at once, each in a process of its own, so that the memory of a small machine
 * suffices.
 */
const maxProcesses = 4;
/** Room in a message besides its largest part. */
const messageSlackBytes = 64 * 1024;
const builtInTasks = new URL("../tasks/", import.meta.url).href;

export function createPools({ config, loaded, ...shared }: ServerPoolsParts): ServerPools {
  const pools: ThreadPool[] = [];
  const isolated: Pool[] = [];
  const reloads: (() => void)[] = [];
  for (const [name, { work, minWorkers, maxWorkers, concurrency }] of Object.entries(config.pools)) {
    const options = {
      ...{ ...shared, name, work, graceMs: config.graceMs, loadMs: config.taskLoadMs },
      outputBounds: { maxBytes: config.limits.messageBytes - messageSlackBytes, maxValues: config.limits.values },
    };
    const code = () => codeOf(name, loaded(), config);
    const make = (given: PoolCode, { min, max } = { min: minWorkers, max: maxWorkers }) =>
      createPool({
        ...{ ...options, ...given, isProbing: hasProbes(given) },
        ...{ minWorkers: min, maxWorkers: max, concurrency, idleMs: config.autoscale.idleMs },
      });
    if (config.watch) {
      const pool = createReloadablePool(make, code());
      pools.push(pool);
      reloads.push(reloadOf(pool, code));
    } else pools.push(make(code()));
    isolated.push(createIsolatedPool({ ...options, code, maxProcesses: Math.min(maxWorkers, maxProcesses) }));
  }
  return {
    pools,
    isolated,
    reload() {
      for (const reload of reloads) reload();
    },
  };
}

/**
 * A thread loads a built-in task late, unless its resources are configured and so probed: most servers never run most of
 * them, and together they take half of a thread's start.
 */
function codeOf(pool: string, { tasks, sources }: LoadedTasks, { resources: configured }: Config): PoolCode {
  const own = [...tasks.values()].filter((task) => task.pool === pool);
  const isLate = ({ file, resources }: LoadedTask) =>
    file.startsWith(builtInTasks) && !resources.some(({ name }) => name in configured);
  return { tasks: own.map((task) => ({ ...task, isLoadedLate: isLate(task) })), sources };
}

function hasProbes({ tasks }: PoolCode): boolean {
  return tasks.some(({ isLoadedLate, resources }) => !isLoadedLate && resources.some(({ hasProbe }) => hasProbe));
}

/** A pool that only has built-in tasks before and after keeps its threads. */
function reloadOf(pool: ReloadablePool, code: () => PoolCode): () => void {
  const hasUsers = ({ tasks }: PoolCode) => tasks.some(({ file }) => !file.startsWith(builtInTasks));
  let had = hasUsers(code());
  return () => {
    const now = code();
    const has = hasUsers(now);
    if (had || has) pool.reload(now);
    had = has;
  };
}
