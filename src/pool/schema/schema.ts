/** What a task's `input` or `output` is when it is no message type: something that checks JSON and can say which it takes. */
import { type FieldViolation, messageOf } from "../../errors.ts";
import { cut } from "../plain.ts";

export type Schema = {
  readonly shape: SchemaShape;
  /** Throws what code of the schema throws, and `AsyncSchema` when that is asynchronous. */
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

/** Checks of inputs are synchronous, see docs/tasks.md. */
export class AsyncSchema extends Error {
  constructor() {
    super("is asynchronous: leave out what waits, such as async refinements, and do that in `run`");
  }
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
    const text = JSON.stringify(write());
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
