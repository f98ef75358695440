/** What a task's `input` or `output` is when it is no message type: something that checks JSON and can say which it takes. */
import { type FieldViolation, messageOf } from "../../errors.ts";
import { cut } from "../sanitize.ts";

export type Schema = {
  readonly shape: SchemaShape;
  /** Throws what code of the schema throws, and `SchemaFault` when the fault is the schema's and not the value's. */
  check(value: unknown): Checked;
};

/** What a schema makes of a value, or what is wrong with it. Paths start at the value: `width`, `items[2].name`. */
export type Checked =
  | { readonly value: unknown; readonly violations?: undefined }
  | { readonly violations: readonly FieldViolation[] };

/** Which values a schema takes, for people and programs. Plain data. */
export type SchemaShape = {
  /** `json-schema`, or whose Standard Schema it is, such as `zod`. */
  readonly vendor: string;
  /** A JSON Schema as JSON text, of at most 65,536 characters. Empty: not known. */
  readonly jsonSchema: string;
  /** Why it is not known. Empty: it is. */
  readonly unknownReason: string;
};

/** The two of a task. */
export type Side = "input" | "output";

/** What is wrong with one value: more is cut. */
export const maxViolations = 20;
const maxShapeChars = 65_536;
const maxReasonChars = 200;
const maxVendorChars = 100;

/** A schema cannot check a value. The message goes on behind "its input". */
export class SchemaFault extends Error {}

/** Checks of inputs are synchronous, see docs/tasks.md. */
export class AsyncSchema extends SchemaFault {
  constructor() {
    super("is asynchronous: leave out what waits, such as async refinements, and do that in `run`");
  }
}

/** What a value of the wrong type is, without the value. */
export function kindOf(value: unknown): string {
  if (value instanceof Promise) return "a Promise";
  if (Array.isArray(value)) return "a list";
  if (value === null || value === undefined) return String(value);
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/** How a path is written, as those into messages are. Numbers are indices of lists. */
export function fieldOf(path: readonly PropertyKey[]): string {
  const steps = path.map((step) => (typeof step === "number" ? `[${step}]` : `.${String(step)}`));
  return steps.join("").replace(/^\./, "");
}

/** `write` gives the JSON Schema, and may throw what a library throws. */
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

/** The path of a field from further out: `input.width`, `input[2]`. */
export function pathFrom(side: Side, field: string): string {
  return field === "" || field.startsWith("[") ? side + field : `${side}.${field}`;
}
