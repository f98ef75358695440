/** Runs the `check` of tasks on inputs, in the thread that has their definitions. */
import { inspect } from "node:util";
import { type FieldViolation, invalid, type MillpondError, refusal } from "../../errors.ts";
import type { Payload } from "../../job/job.ts";
import { type Declared, declared, decodeInput } from "../codec.ts";
import { cut, textOf } from "../sanitize.ts";
import { maxViolations, pathFrom } from "../schema/schema.ts";
import { UnfitInput } from "../schema/values.ts";
import type { AnyTask } from "../task.ts";
import type { TaskReport } from "../tasks/definition.ts";

/** The violations of an input, with paths that start at the input; or, as text, why the check's return value is invalid. */
export type Verdict = readonly FieldViolation[] | string;

/** A stored input of a task that has a check. */
export type CheckInput = { readonly task: string; readonly input: Payload | null };

/** The caller of a check. */
export type CheckCall = {
  /** Clients take turns. */
  readonly client: string;
  /** Aborts when the caller disconnects: inputs that are not checked by then are refused with `cancelled`. */
  readonly signal: AbortSignal | undefined;
};

/** Runs the checks of tasks. */
export type TaskChecks = {
  /** Resolves with the refusal for each input, or null; never rejects. Bounded in time and memory, whatever the checks do. */
  check(inputs: readonly CheckInput[], call: CheckCall): Promise<readonly (MillpondError | null)[]>;
};

export type Checkable = {
  readonly task: AnyTask;
  readonly input: Declared;
  readonly settings: unknown;
  /** Settings of its resources, by the task's names for them. */
  readonly resources: { readonly [name: string]: unknown };
};

const maxFieldChars = 200;
const maxDescriptionChars = 1000;

export async function checkableOf(
  task: AnyTask,
  { settings, resources }: Pick<TaskReport, "settings" | "resources">,
): Promise<Checkable> {
  const used = Object.entries(task.resources ?? {}).map(([own, { name }]) => [
    own,
    resources.find((resource) => resource.name === name)?.settings,
  ]);
  return { task, input: await declared(task.input, "input"), settings, resources: Object.fromEntries(used) };
}

/**
 * Checks an input by the task's schema, and if that finds nothing, by its check. Never throws; undefined: the input is
 * valid. An Error that either throws is a violation of the whole input.
 */
export function verdictOf(
  { task, input, settings, resources }: Checkable,
  payload: Payload | null,
): Verdict | undefined {
  try {
    const decoded = decodeInput(input, payload);
    const returned: unknown = task.check?.(decoded as never, settings as never, resources as never);
    return returned === undefined || returned === null ? undefined : verdictFrom(returned);
  } catch (error) {
    if (error instanceof UnfitInput)
      return typeof error.verdict === "string" ? error.verdict : verdictFrom(error.verdict);
    const description = textOf(error, maxDescriptionChars);
    if (error instanceof Error) return [{ field: "", description: description || error.name }];
    return `it threw ${description}, which is not an Error`;
  }
}

function verdictFrom(returned: unknown): Verdict | undefined {
  if (returned instanceof Promise) {
    returned.catch(() => undefined);
    return "it returned a Promise: write it without `async`";
  }
  if (!Array.isArray(returned)) return `it returned ${shown(returned)} ${expected}`;
  if (returned.length === 0) return undefined;
  const violations = returned.slice(0, maxViolations).map(violationFrom);
  return violations.every((each) => each !== undefined) ? violations : `it returned ${shown(returned)} ${expected}`;
}

const expected = "and must return a list of {field, description}";

function violationFrom(given: unknown): FieldViolation | undefined {
  const { field, description } = (given ?? {}) as { readonly [key: string]: unknown };
  if (typeof description !== "string" || (field !== undefined && typeof field !== "string")) return undefined;
  return { field: textOf(field ?? "", maxFieldChars), description: textOf(description, maxDescriptionChars) };
}

function shown(value: unknown): string {
  return cut(
    inspect(value, { depth: 1, maxArrayLength: 3, maxStringLength: 50, breakLength: Infinity }),
    maxFieldChars,
  );
}

/** The refusal of a job for a verdict. Paths start at the job: `input.width`. */
export function answerTo(task: string, verdict: Verdict | undefined): MillpondError | null {
  if (verdict === undefined) return null;
  if (typeof verdict === "string") return refusal("check_failed", [task, verdict]);
  return invalid(verdict.map(({ field, description }) => ({ field: pathFrom("input", field), description })));
}
