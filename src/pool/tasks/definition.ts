/** Validates the definitions passed to `defineTask`, and converts them to plain data that can be sent to threads. */
import { messageOf } from "../../errors.ts";
import { defaultRetryPolicy, type RetryPolicy } from "../../job/backoff.ts";
import { taskName } from "../../job/task-name.ts";
import { type Declared, declared } from "../codec.ts";
import { textOf } from "../sanitize.ts";
import { isResource } from "../resource.ts";
import type { ResourceReader, ResourceSettings } from "../resources/definition.ts";
import type { PoolResource } from "../resources/protocol.ts";
import type { SchemaShape, Side } from "../schema/schema.ts";
import type { AnyTask, TaskDefinition } from "../task.ts";
import type { DescribedTypes, Types } from "./types.ts";

/** A task as plain data. */
export type TaskReport = {
  readonly name: string;
  readonly pool: string;
  /** Empty: none. */
  readonly description: string;
  readonly types: DescribedTypes;
  /** Descriptions of its schemas, if it has schemas and not types. */
  readonly inputShape: SchemaShape | undefined;
  readonly outputShape: SchemaShape | undefined;
  /** The result of the task's `settings`. */
  readonly settings: unknown;
  /** Its resources, each once. */
  readonly resources: readonly PoolResource[];
  readonly retry: RetryPolicy;
  /** Bound on one attempt. */
  readonly timeoutMs: number;
  /** Whether its inputs must be checked by `TaskChecks`. */
  readonly hasCheck: boolean;
};

/** A fault of a definition. `option`: the word in the file that it is about. */
export type Mistake = { readonly option: string; readonly what: string };

/** The configuration that a definition is checked against. */
export type Surroundings = {
  /** Names of the configured pools. */
  readonly pools: readonly string[];
  /** Settings by task name. */
  readonly settings: { readonly [task: string]: { readonly [key: string]: unknown } };
  /** Settings by resource name. */
  readonly resourceSettings: ResourceSettings;
};

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const defaultTimeoutMs = hourMs;
const longestTimeoutMs = 7 * dayMs;
const longestDelayMs = 365 * dayMs;
const largestFactor = 100;

const taskOptions = Object.keys({
  name: true,
  pool: true,
  description: true,
  input: true,
  output: true,
  retry: true,
  timeoutMs: true,
  resources: true,
  settings: true,
  check: true,
  run: true,
} satisfies Record<keyof TaskDefinition, true>);
const retryOptions = Object.keys(defaultRetryPolicy);
const fewestSharedLetters = 4;

/** All faults, or the task as data. `settings` runs only if nothing else is wrong. */
export async function readDefinition(
  task: AnyTask,
  { pools, settings }: Surroundings,
  readResource: ResourceReader,
): Promise<TaskReport | readonly Mistake[]> {
  const mistakes: Mistake[] = [];
  const add = (option: string, what: string) => void mistakes.push({ option, what });
  const { name, pool, description = "", retry, timeoutMs = defaultTimeoutMs } = task;

  for (const option of Object.keys(task).filter((key) => !taskOptions.includes(key))) {
    add(option, unknown("option", option, [...taskOptions, ...retryOptions.map((each) => `retry.${each}`)]));
  }
  if (typeof name !== "string" || !taskName.pattern.test(name)) {
    add("name", `the name ${shown(name)} is not ${taskName.words}`);
  }
  if (pool === undefined) add("pool", `it names no \`pool\`; there are: ${pools.join(", ")}`);
  else if (!pools.includes(pool)) {
    add("pool", `its pool ${shown(pool)} is not configured; there are: ${pools.join(", ")}`);
  }
  if (typeof description !== "string") add("description", `description is ${shown(description)} and must be text`);
  const input = await readDeclared(task, "input", add);
  const output = await readDeclared(task, "output", add);
  checkFunctions(task, add);
  checkRetry(retry, add);
  checkWhole(add, "timeoutMs", timeoutMs, 1, longestTimeoutMs);
  const resources = readResources(task.resources, readResource, add);
  if (mistakes.length > 0) return mistakes;

  const read = readSettings(task, Object.hasOwn(settings, name) ? settings[name] : undefined);
  if ("fault" in read) return [{ option: "settings", what: read.fault }];
  return {
    ...{ name, pool, description, timeoutMs },
    types: await typesOf(input.message?.type, output.message?.type),
    inputShape: input.schema?.shape,
    outputShape: output.schema?.shape,
    settings: read.settings,
    resources,
    retry: { ...defaultRetryPolicy, ...retry },
    hasCheck: task.check !== undefined || input.schema !== undefined,
  };
}

function readResources(given: unknown, readResource: ResourceReader, add: Add): readonly PoolResource[] {
  if (given === undefined) return [];
  if (typeof given !== "object" || given === null || isResource(given)) {
    add("resources", "its `resources` are not a set of names, such as { billing }");
    return [];
  }
  const found = new Set<PoolResource>();
  for (const [name, each] of Object.entries(given)) {
    try {
      found.add(readResource(each));
    } catch (error) {
      add(name, messageOf(error));
    }
  }
  return [...found];
}

type Add = (option: string, what: string) => void;

async function typesOf(input: Types["input"], output: Types["output"]): Promise<DescribedTypes> {
  if (!input && !output) return { input: undefined, output: undefined, files: new Uint8Array() };
  return (await import("./types.ts")).describeTypes({ input, output });
}

async function readDeclared(task: AnyTask, side: Side, add: Add): Promise<Declared> {
  try {
    return await declared(task[side], side);
  } catch (error) {
    add(side, `its \`${side}\` ${messageOf(error)}`);
    return {};
  }
}

function checkFunctions(task: AnyTask, add: Add): void {
  if (typeof task.run !== "function") add("run", "it has no function `run`");
  else if (/Generator/.test(Object.prototype.toString.call(task.run))) {
    add("run", "its `run` is a generator, whose values go nowhere: return a list, and report with `ctx.progress`");
  }
  for (const option of ["check", "settings"] as const) {
    if (task[option] !== undefined && typeof task[option] !== "function") {
      add(option, `its \`${option}\` is ${shown(task[option])} and must be a function`);
    }
  }
}

function checkRetry(given: unknown, add: Add): void {
  if (given === undefined) return;
  if (typeof given !== "object" || given === null)
    return add("retry", `retry is ${shown(given)}, not a set of options`);
  for (const option of Object.keys(given).filter((key) => !retryOptions.includes(key))) {
    add(option, unknown("option", `retry.${option}`, retryOptions));
  }
  const { maxAttempts, baseMs, maxBackoffMs, factor, jitter }: RetryPolicy = { ...defaultRetryPolicy, ...given };
  checkWhole(add, "retry.maxAttempts", maxAttempts, 1, 100);
  checkWhole(add, "retry.baseMs", baseMs, 0, longestDelayMs);
  checkWhole(add, "retry.maxBackoffMs", maxBackoffMs, 0, longestDelayMs);
  if (!Number.isFinite(factor) || factor < 1 || factor > largestFactor) {
    add("factor", `retry.factor is ${shown(factor)} and must be a number from 1 to ${largestFactor}`);
  }
  if (jitter !== "full" && jitter !== "none") {
    add("jitter", `retry.jitter is ${shown(jitter)} and must be "full" or "none"`);
  }
}

function checkWhole(add: Add, path: string, value: unknown, least: number, most: number): void {
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return;
  add(path.replace(/^.*\./, ""), `${path} is ${shown(value)} and must be a whole number from ${least} to ${most}`);
}

function readSettings(task: AnyTask, given: Surroundings["settings"][string] | undefined) {
  if (!task.settings) {
    return given === undefined
      ? { settings: undefined }
      : { fault: `it takes no settings, but tasks.${task.name} is configured` };
  }
  let settings: unknown;
  try {
    settings = task.settings(given ?? {});
  } catch (error) {
    return { fault: `tasks.${task.name}: ${messageOf(error)}` };
  }
  try {
    return { settings: structuredClone(settings) }; // every worker thread gets a copy
  } catch (error) {
    const remedy = settings instanceof Promise ? ": write it without `async`" : "";
    return { fault: `its \`settings\` returned something that is not plain data: ${messageOf(error)}${remedy}` };
  }
}

/** The message about an unknown option, with a similar known one, or else all of them. */
function unknown(kind: string, given: string, known: readonly string[]): string {
  const last = (path: string) => path.replace(/^.*\./, "").toLowerCase();
  const word = last(given);
  const resembles = (name: string) => {
    const other = last(name);
    return other.includes(word) || word.includes(other) || other.startsWith(word.slice(0, fewestSharedLetters));
  };
  const similar = known.find(resembles);
  const remedy = similar === undefined ? `there are: ${known.join(", ")}` : `did you mean \`${similar}\`?`;
  return `it has an unknown ${kind} \`${given}\`: ${remedy}`;
}

function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 120));
  return typeof value === "function" ? "a function" : textOf(value, 120);
}
