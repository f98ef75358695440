/** The schema of a task's `input` or `output`: checks JSON, and describes which JSON it accepts. */
import { type FieldViolation, messageOf } from "../../errors.ts";
import { cut } from "../sanitize.ts";

export type Schema = {
  readonly shape: SchemaShape;
  /** Throws errors of the schema's code, and `SchemaFault` if the schema and not the value is at fault. */
  check(value: unknown): Checked;
};

/** The value as parsed by a schema, or its violations. Paths start at the value: `width`, `items[2].name`. */
export type Checked =
  | { readonly value: unknown; readonly violations?: undefined }
  | { readonly violations: readonly FieldViolation[] };

/** Describes the values that a schema accepts, as plain data. */
export type SchemaShape = {
  /**
   * `json-schema`, or the library of a Standard Schema, such as `zod`.
   */
  readonly vendor: string;
  /** A JSON Schema as JSON text, of at most 65,536 characters. Empty: not known. */
  readonly jsonSchema: string;
  /** Why the JSON Schema is not known. Empty: it is. */
  readonly unknownReason: string;
};

/** The two schemas of a task. */
export type Side = "input" | "output";

/** Bound on the violations of one value; further ones are dropped. */
export const maxViolations = 20;
const maxShapeChars = 65_536;
const maxReasonChars = 200;
const maxVendorChars = 100;

/** A schema cannot check values. The message continues after "its input". */
export class SchemaFault extends Error {}

/** A schema is asynchronous, but checks of inputs are synchronous; see docs/tasks.md. */
export class AsyncSchema extends SchemaFault {
  constructor() {
    super("is asynchronous: leave out what waits, such as async refinements, and do that in `run`");
  }
}

/** Describes the type of a value, without the value. */
export function kindOf(value: unknown): string {
  if (value instanceof Promise) return "a Promise";
  if (Array.isArray(value)) return "a list";
  if (value === null || value === undefined) return String(value);
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/** Formats a path like those in protobuf messages. Numbers are list indices. */
export function fieldOf(path: readonly PropertyKey[]): string {
  const steps = path.map((step) => (typeof step === "number" ? `[${step}]` : `.${String(step)}`));
  return steps.join("").replace(/^\./, "");
}

/**
 * `write` returns the JSON Schema, and may throw errors of a library.
 */
export function shapeOf(vendor: string, write: () => unknown): SchemaShape {
  const shape = { vendor: cut(vendor, maxVendorChars), jsonSchema: "", unknownReason: "" };
  try {
    const text = JSON.stringify(write()) as string | undefined;
    if (text === undefined) return { ...shape, unknownReason: `${vendor} writes no JSON Schema of it` };
    if (text.length <= maxShapeChars) return { ...shape, jsonSchema: text.toWellFormed() };
    const unknownReason = `its JSON Schema has ${text.length} characters, and at most ${maxShapeChars} are shown`;
    return { ...shape, unknownReason };
  } catch (error) {
    return { ...shape, unknownReason: cut(messageOf(error), maxReasonChars) };
  }
}

/** Prefixes the path of a field with its side: `input.width`, `input[2]`. */
export function pathFrom(side: Side, field: string): string {
  return field === "" || field.startsWith("[") ? side + field : `${side}.${field}`;
}
