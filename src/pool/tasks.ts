/**
 * Loads and checks tasks, at the start and at each reload: those of this package in the server's thread, those of users
 * in one of their own (see checker/). Mistakes are reported with file and line, and then no task is served.
 */
import type { DescMessage } from "@bufbuild/protobuf";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type MillpondError, messageOf, StartError } from "../errors.ts";
import {
  answerTo,
  type Checkable,
  checkableOf,
  type CheckInput,
  type TaskChecks,
  verdictOf,
} from "./checker/checks.ts";
import { createChecker, type CheckerParts } from "./checker/checker.ts";
import { hookModules, type Sources } from "./module-hooks.ts";
import { createResourceReader } from "./resources/definition.ts";
import type { PoolResource } from "./resources/protocol.ts";
import type { Surroundings, TaskReport } from "./tasks/definition.ts";
import { type Ignored, readTaskFolder } from "./tasks/folder.ts";
import { type FileReport, reportOf } from "./tasks/report.ts";
import { createTypeReader } from "./tasks/types.ts";

/** A valid task. `timeoutMs` is the highest that a job may set, too. Tasks that share a resource may have copies of it. */
export type LoadedTask = Omit<TaskReport, "types"> & {
  /** URL of the file that a worker thread imports. */
  readonly file: string;
  /** The message type it accepts; undefined: any JSON, bytes, or nothing. Compare types by name, because they are copies. */
  readonly input: DescMessage | undefined;
  readonly output: DescMessage | undefined;
};

/** Every task by name. Immutable: a reload creates a new map. */
export type Tasks = ReadonlyMap<string, LoadedTask>;

export type TaskSources = Surroundings &
  Omit<CheckerParts, "surroundings"> & {
    /** Folders of trusted tasks, which are loaded in this thread. */
    readonly builtIn: readonly string[];
    /** Folders of users' tasks: see tasks/folder.ts. */
    readonly folders: readonly string[];
  };

export type LoadedTasks = {
  readonly tasks: Tasks;
  /** All their resources, each once. */
  readonly resources: readonly PoolResource[];
  /** Files in the users' folders that are no tasks. */
  readonly ignored: readonly Ignored[];
  readonly checks: TaskChecks;
  /** Files that threads load from memory instead of the disk. Null: none. */
  readonly sources: Sources | null;
  /** Ends the checker thread once it has answered the pending calls. */
  retire(): Promise<void>;
  /** Ends the checker thread. Safe to repeat. */
  stop(): Promise<void>;
};

/** Loads every task file. Throws one StartError that lists every fault. */
export async function loadTasks(sources: TaskSources): Promise<LoadedTasks> {
  const { pools, settings, resourceSettings } = sources;
  const surroundings: Surroundings = { pools, settings, resourceSettings };
  const checkable = new Map<string, Checkable>();
  const checker = createChecker({ ...sources, surroundings });
  const own = await readFolders(sources.builtIn);
  const users = await readFolders(sources.folders);
  hookModules();
  const readResource = createResourceReader(resourceSettings);
  const ownReports: FileReport[] = [];
  for (const file of own.files) {
    const report = await reportOf(file, surroundings, readResource, async (task, read) => {
      checkable.set(read.name, await checkableOf(task, read));
    });
    ownReports.push(report);
  }
  const userReports = users.files.length > 0 ? await checker.load(users.files) : [];
  try {
    const files = [...own.files, ...users.files.slice(0, userReports.length)];
    const unloaded = users.files.length - userReports.length;
    const { ignored, ...found } = collect(files, { ownReports, userReports }, sources, unloaded);
    return {
      ...found,
      ignored: [...users.ignored, ...ignored],
      checks: bothWays(checkable, checker),
      ...{ sources: sources.sources ?? null, retire: checker.retire, stop: checker.stop },
    };
  } catch (error) {
    await checker.stop();
    throw error;
  }
}

async function readFolders(folders: readonly string[]) {
  const read = await Promise.all(folders.map(readTaskFolder));
  return {
    files: read.flatMap(({ files }) => files).map((path) => pathToFileURL(path).href),
    ignored: read.flatMap(({ ignored }) => ignored),
  };
}

function collect(
  files: readonly string[],
  {
    ownReports,
    userReports,
  }: { readonly ownReports: readonly FileReport[]; readonly userReports: readonly FileReport[] },
  sources: TaskSources,
  unloaded: number,
) {
  const tasks = new Map<string, LoadedTask>();
  const resources = new Map<string, PoolResource>();
  const ignored: Ignored[] = [];
  const faults: string[] = [];
  const readTypes = createTypeReader();
  let ownResources: ReadonlySet<string> = new Set();
  for (const [index, report] of [...ownReports, ...userReports].entries()) {
    if (index === ownReports.length) ownResources = new Set(resources.keys());
    const file = files[index] as string;
    const path = fileURLToPath(file);
    if (report.kind === "ignored") ignored.push({ path, why: report.why });
    else if (report.kind === "faulty") faults.push(...report.faults);
    else {
      const { types, ...task } = report.task;
      const twin = tasks.get(task.name);
      if (twin)
        faults.push(`${path}: a task named "${task.name}" is already in ${fileURLToPath(twin.file)}: rename one`);
      for (const resource of task.resources) {
        if (ownResources.has(resource.name))
          faults.push(`${path}: resource "${resource.name}" is one of the built-in tasks: rename it`);
        resources.set(resource.name, resource);
      }
      try {
        tasks.set(task.name, { ...task, ...readTypes(types), file });
      } catch (error) {
        faults.push(`${path}: its message types cannot be read: ${messageOf(error)}`);
      }
    }
  }
  if (unloaded > 0) faults.push(`${unloaded} more files were not loaded`);
  if (faults.length === 0) faults.push(...settingsWithoutOwner(tasks, resources, sources));
  if (faults.length > 0)
    throw new StartError(`tasks that cannot be served:\n  ${faults.join("\n  ")}`, { exitCode: 2 });
  return { tasks, resources: [...resources.values()], ignored };
}

/** Only used when every file is valid: otherwise a task may be missing because it could not be loaded. */
function settingsWithoutOwner(
  tasks: Tasks,
  resources: ReadonlyMap<string, PoolResource>,
  { settings, resourceSettings }: TaskSources,
): string[] {
  const without = (given: object, owners: ReadonlyMap<string, unknown>) =>
    Object.keys(given).filter((name) => !owners.has(name));
  return [
    ...without(settings, tasks).map((name) => `tasks.${name}: there are settings for a task that does not exist`),
    ...without(resourceSettings, resources).map(
      (name) => `resources.${name}: there are settings for a resource that no task uses`,
    ),
  ];
}

/** Runs the checks of trusted tasks synchronously in this thread, and those of users in the checker thread. */
function bothWays(own: ReadonlyMap<string, Checkable>, users: TaskChecks): TaskChecks {
  return {
    async check(inputs, call) {
      const answers: (MillpondError | null)[] = inputs.map(() => null);
      const theirs: number[] = [];
      for (const [index, { task, input }] of inputs.entries()) {
        const checkable = own.get(task);
        if (checkable) answers[index] = answerTo(task, verdictOf(checkable, input));
        else theirs.push(index);
      }
      if (theirs.length === 0) return answers;
      const verdicts = await users.check(
        theirs.map((index) => inputs[index] as CheckInput),
        call,
      );
      for (const [at, index] of theirs.entries()) answers[index] = verdicts[at] ?? null;
      return answers;
    },
  };
}
