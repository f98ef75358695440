/** The tasks that are served, and what is made of them. */
import type { Log } from "../log.ts";
import type { LoadedTasks } from "../pool/tasks.ts";
import { type DescribedFiles, describeFiles } from "../rpc/reflection/described-files.ts";
import { createLookups, type Lookups } from "../rpc/reflection/lookups.ts";
import { ownFiles } from "../rpc/reflection/own-files.ts";
import { type TypeRegistry, typesOf } from "../rpc/task-types.ts";

/** Fits together: one set is always used as a whole. */
export type TaskSet = LoadedTasks & {
  readonly types: TypeRegistry;
  readonly described: DescribedFiles;
  readonly lookups: Lookups;
};

const maxIgnoredShown = 100;

export function taskSetOf(loaded: LoadedTasks, log: Log): TaskSet {
  for (const { path, why } of loaded.ignored.slice(0, maxIgnoredShown)) log.info({ path, why }, "not a task");
  const described = describeFiles(ownFiles, loaded.tasks);
  for (const { task, why } of described.leftOut) log.warn({ task, why }, "reflection and ListTasks leave a type out");
  return { ...loaded, described, types: typesOf(loaded.tasks), lookups: createLookups(described) };
}
