/** What a setting may be: each check has its bound in words, for messages and docs/configuration.md. */
import { z } from "zod";
import { taskName } from "../job/task-name.ts";
import { mostWorkers } from "./rules.ts";

/** Its description is the bound in words. */
export type Check = z.ZodType;
export type GivenTo<C extends Check> = z.input<C>;
export type ValueFrom<C extends Check> = z.output<C>;

/** What a check found. */
export type Checked = z.ZodSafeParseResult<unknown>;
export type Issues = readonly z.core.$ZodIssue[];

export function integer(min: number, max: number) {
  const bound = `an integer from ${min} to ${max}`;
  const error = `must be ${bound}`;
  return z
    .int({ error, abort: true })
    .min(min, { error, abort: true })
    .max(max, { error, abort: true })
    .describe(bound);
}

export function number(min: number, max: number) {
  const bound = `a number from ${min} to ${max}`;
  const error = `must be ${bound}`;
  return z.number({ error }).min(min, { error, abort: true }).max(max, { error, abort: true }).describe(bound);
}

export function text(pattern: RegExp, bound: string, isGood: (given: string) => boolean = () => true) {
  const error = `must be ${bound}`;
  return z
    .string({ error })
    .regex(pattern, { error, abort: true })
    .refine((given) => isGood(given), { error })
    .describe(bound);
}

export function orNothing<C extends z.ZodType>(check: C) {
  return check.nullable().describe(`${check.description}, or nothing`);
}

/** In a flag or variable its elements stand one behind the other, with commas. */
export function list<C extends z.ZodType>(element: C) {
  const split = (given: unknown) => (typeof given === "string" ? given.split(",").map((each) => each.trim()) : given);
  return z
    .preprocess(split, z.array(element, { error: "must be a list" }))
    .describe(`a list, each ${element.description}`);
}

export function yesOrNo() {
  return z.boolean({ error: "must be true or false" }).describe("true or false");
}

export function oneOf<const T extends string>(...values: readonly T[]) {
  const bound = `one of ${values.join(", ")}`;
  return z.enum(values, { error: `must be ${bound}` }).describe(bound);
}

export function shape<S extends z.core.$ZodLooseShape>(fields: S) {
  const known = Object.keys(fields).join(", ");
  return z.strictObject(fields, {
    error: ({ code, keys }) =>
      code === "unrecognized_keys" ? `must not have "${keys.join('", "')}", only ${known}` : `must be {${known}}`,
  });
}

export function named<V extends z.ZodType>(value: V, name: RegExp, nameBound: string) {
  return z
    .record(z.string().regex(name), value, {
      error: ({ code }) => (code === "invalid_key" ? `must be named with ${nameBound}` : "must be a set of names"),
    })
    .describe(`by name (${nameBound})`);
}

/** Settings that tasks and resources check themselves. */
export function settingsOf(nameBound: string) {
  const settings = z.record(z.string(), z.unknown(), { error: "must be a set of settings" });
  return named(settings, taskName.pattern, nameBound);
}

const maxWorkers = integer(1, mostWorkers);
/** How many workers a pool may have, in words. */
export const workers = `an integer from 1 to ${mostWorkers}, or {min, max} with 0 <= min <= max and 1 <= max <= ${mostWorkers}`;
/** A pool as it is given. */
export const poolShape = shape({
  work: oneOf("cpu", "io", "mixed", "limited").optional(),
  workers: z
    .union([maxWorkers, shape({ min: integer(0, mostWorkers), max: maxWorkers })], { error: `must be ${workers}` })
    .refine((given) => typeof given === "number" || given.min <= given.max, { error: `must be ${workers}` })
    .optional(),
  concurrency: integer(1, 1024).optional(),
  maxQueued: integer(1, 100_000_000).default(100_000),
});
