/** The tasks that are served, and the data derived from them. */
import type { Log } from "../log.ts";
import type { TaskChecks } from "../pool/checker/checks.ts";
import type { LoadedTasks, Tasks } from "../pool/tasks.ts";
import { type DescribedFiles, describeFiles } from "../rpc/reflection/described-files.ts";
import { createLookups, type Lookups } from "../rpc/reflection/lookups.ts";
import { ownFiles } from "../rpc/reflection/own-files.ts";
import { type TypeRegistry, typesOf } from "../rpc/task-types.ts";

/** One consistent set of tasks: it is always used as a whole. */
export type TaskSet = LoadedTasks & {
  readonly types: TypeRegistry;
  readonly described: DescribedFiles;
  readonly lookups: Lookups;
};

/** Holds the set of tasks that is served now. */
export type ServedTasks = {
  /** Call it for each use: a reload replaces the set. */
  current(): TaskSet;
  tasks(): Tasks;
  /** The checks of the current set. */
  readonly checks: TaskChecks;
  /** Serves this set from now on. Pending checks of the previous set are still answered. */
  replace(loaded: LoadedTasks): void;
  stop(): Promise<void>;
};

export function createServedTasks(first: LoadedTasks, log: Log): ServedTasks {
  let current = taskSetOf(first, log);
  const retiring = new Set<LoadedTasks>();

  return {
    current: () => current,
    tasks: () => current.tasks,
    checks: { check: (inputs, call) => current.checks.check(inputs, call) },
    replace(loaded) {
      const former = current;
      current = taskSetOf(loaded, log);
      retiring.add(former);
      void former.retire().then(() => retiring.delete(former));
    },
    async stop() {
      await Promise.all([current, ...retiring].map((set) => set.stop()));
    },
  };
}

function taskSetOf(loaded: LoadedTasks, log: Log): TaskSet {
  const described = describeFiles(ownFiles, loaded.tasks);
  for (const { task, why } of described.leftOut)
    log.warn({ task, why }, "a type is omitted from reflection and ListTasks");
  return { ...loaded, described, types: typesOf(loaded.tasks), lookups: createLookups(described) };
}
