/**
 * Finds task files, loads them and checks them, once, at start. What is wrong is said with the name of the file, and
 * the server does not start.
 */
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { messageOf, StartError } from "../errors.ts";
import { defaultRetryPolicy, type RetryPolicy } from "../job/backoff.ts";
import { hookModules } from "./module-hooks.ts";
import { type AnyTask, isTask } from "./task.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const defaultTimeoutMs = hourMs;
const longestTimeoutMs = 7 * dayMs;
const longestDelayMs = 365 * dayMs;
const largestFactor = 100;

/** A task that was found good. */
export type LoadedTask = {
  readonly definition: AnyTask;
  readonly name: string;
  readonly pool: string;
  /** URL that a worker thread imports. */
  readonly file: string;
  /** What the task's `settings` made of its section of the configuration. Plain data. */
  readonly settings: unknown;
  readonly retry: RetryPolicy;
  /** Bound on one attempt, and the most that a job may ask for. */
  readonly timeoutMs: number;
};

/** Every task by name. It never changes after the start. */
export type Tasks = ReadonlyMap<string, LoadedTask>;

export type TaskSources = {
  /** Folders whose `.ts`, `.js` and `.mjs` files are tasks, each holding one. Subfolders and `.d.ts` files are ignored. */
  readonly folders: readonly string[];
  /** Names of the configured pools. */
  readonly pools: readonly string[];
  /** Settings by task name. */
  readonly settings: { readonly [task: string]: { readonly [key: string]: unknown } };
};

/** Loads every task file. Throws one StartError that lists all that is wrong. */
export async function loadTasks(sources: TaskSources): Promise<Tasks> {
  hookModules();
  const tasks = new Map<string, LoadedTask>();
  const mistakes: string[] = [];
  for (const path of await taskFiles(sources.folders)) {
    try {
      const task = await loadTask(path, sources);
      const twin = tasks.get(task.name);
      if (twin) throw new Error(`a task named "${task.name}" is already in ${twin.file}: rename one`);
      tasks.set(task.name, task);
    } catch (error) {
      mistakes.push(`${path}: ${messageOf(error)}`);
    }
  }
  if (mistakes.length === 0) mistakes.push(...settingsWithoutTask(tasks, sources));
  if (mistakes.length > 0) {
    throw new StartError(`tasks that cannot be served:\n  ${mistakes.join("\n  ")}`, { exitCode: 2 });
  }
  return tasks;
}

/** Only asked when every file is good: a task that could not be loaded is missing for another reason. */
function settingsWithoutTask(tasks: Tasks, { settings }: TaskSources): string[] {
  const names = Object.keys(settings).filter((name) => !tasks.has(name));
  return names.map((name) => `tasks.${name}: there are settings for a task that does not exist`);
}

async function taskFiles(folders: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const folder of folders) {
    const names = await readdir(folder).catch((error: unknown) => {
      throw new StartError(
        `the tasks folder ${folder} cannot be read: ${messageOf(error)}: name one with --tasks-dir`,
        { exitCode: 2 },
      );
    });
    const tasks = names.filter((name) => /\.(ts|js|mjs)$/.test(name) && !name.endsWith(".d.ts"));
    files.push(...tasks.toSorted().map((name) => join(resolve(folder), name)));
  }
  return files;
}

async function loadTask(path: string, sources: TaskSources): Promise<LoadedTask> {
  const file = pathToFileURL(path).href;
  const definition = ((await import(file)) as { default?: unknown }).default;
  if (!isTask(definition))
    throw new Error("its default export is not a task: write `export default defineTask({...})`");
  const { name, pool } = definition;
  if (typeof name !== "string" || !/^[a-z][a-z0-9._-]{0,99}$/.test(name)) {
    throw new Error(`the name "${name}" is not 1 to 100 characters of [a-z0-9._-] starting with a letter`);
  }
  if (typeof definition.run !== "function") throw new Error("it has no function `run`");
  if (!sources.pools.includes(pool)) {
    throw new Error(`its pool "${pool}" is not configured; there are: ${sources.pools.join(", ")}`);
  }
  const settings = settingsOf(definition, sources);
  return { definition, name, pool, file, settings, retry: retryOf(definition), timeoutMs: timeoutOf(definition) };
}

function settingsOf(definition: AnyTask, sources: TaskSources): unknown {
  const given = Object.hasOwn(sources.settings, definition.name) ? sources.settings[definition.name] : undefined;
  if (definition.settings) return clonable(definition.settings(given ?? {}));
  if (given !== undefined) throw new Error(`it takes no settings, but tasks.${definition.name} is configured`);
  return undefined;
}

/** Settings are cloned into every worker thread. */
function clonable(settings: unknown): unknown {
  try {
    return structuredClone(settings);
  } catch (error) {
    throw new Error(`its \`settings\` returned something that is not plain data: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function retryOf(definition: AnyTask): RetryPolicy {
  const retry = { ...defaultRetryPolicy, ...definition.retry };
  assertWhole("retry.maxAttempts", retry.maxAttempts, 1, 100);
  assertWhole("retry.baseMs", retry.baseMs, 0, longestDelayMs);
  assertWhole("retry.maxBackoffMs", retry.maxBackoffMs, 0, longestDelayMs);
  const { factor, jitter } = retry;
  if (!Number.isFinite(factor) || factor < 1 || factor > largestFactor) {
    throw new Error(`retry.factor is ${String(factor)} and must be a number from 1 to ${largestFactor}`);
  }
  if (jitter !== "full" && jitter !== "none") {
    throw new Error(`retry.jitter is ${String(jitter)} and must be full or none`);
  }
  return retry;
}

function timeoutOf({ timeoutMs = defaultTimeoutMs }: AnyTask): number {
  assertWhole("timeoutMs", timeoutMs, 1, longestTimeoutMs);
  return timeoutMs;
}

function assertWhole(what: string, value: unknown, least: number, most: number): void {
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return;
  throw new Error(`${what} is ${String(value)} and must be a whole number from ${least} to ${most}`);
}
