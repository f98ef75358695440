/** Standard Schemas, of zod, valibot, ArkType and others: see https://standardschema.dev. Their code is the task's. */
import type { FieldViolation } from "../../errors.ts";
import type { StandardSchema } from "../../schema.ts";
import { read, textOf } from "../sanitize.ts";
import {
  AsyncSchema,
  type Checked,
  fieldOf,
  kindOf,
  maxViolations,
  type Schema,
  SchemaFault,
  shapeOf,
  type Side,
} from "./schema.ts";

type Standard = StandardSchema["~standard"];

const version = 1;

export function isStandard(given: unknown): given is StandardSchema {
  return ((typeof given === "object" && given !== null) || typeof given === "function") && "~standard" in given;
}

/** Throws an Error whose message continues after "its input". */
export function openStandard(given: StandardSchema, side: Side): Schema {
  const standard = given["~standard"];
  if (read(standard, "version") !== version) {
    const found = textOf(read(standard, "version"), 20);
    throw new Error(
      `is version ${found} of Standard Schema, and ${version} is known: use another version of its library`,
    );
  }
  if (typeof read(standard, "validate") !== "function") throw new Error("is a Standard Schema without `validate`");
  refuseAsync(standard);
  return {
    shape: shapeOf(textOf(standard.vendor, Infinity), () => jsonSchemaOf(standard, side)),
    check: (value) => checkedOf(standard.validate(value)),
  };
}

/**
 * Refuses asynchronous schemas. Most are asynchronous for every value; one that is so only for some values refuses
 * those jobs.
 */
function refuseAsync(standard: Standard): void {
  try {
    refusePromise(standard.validate(undefined));
  } catch (error) {
    if (error instanceof AsyncSchema) throw error; // other errors may be about this value
  }
}

function refusePromise(returned: unknown): void {
  if (typeof read(returned, "then") !== "function") return;
  Promise.resolve(returned).catch(() => undefined);
  throw new AsyncSchema();
}

/** Validates the return value of user code. Quotes nothing of it, because it may contain parts of the value. */
function checkedOf(returned: unknown): Checked {
  refusePromise(returned);
  if (typeof returned !== "object" || returned === null)
    throw new SchemaFault(`returned ${kindOf(returned)}${expected}`);
  const issues = read(returned, "issues");
  if (Array.isArray(issues) && issues.length > 0)
    return { violations: issues.slice(0, maxViolations).map(violationOf) };
  if (issues !== undefined) throw new SchemaFault(`returned \`issues\` that list nothing${expected}`);
  if (!("value" in returned)) throw new SchemaFault(`returned neither \`value\` nor \`issues\`${expected}`);
  return { value: returned.value };
}

const expected = ", which is no result of a Standard Schema";

/** The JSON Schema, through an optional extension of libraries: https://standardschema.dev/json-schema. */
function jsonSchemaOf(standard: Standard, side: Side): unknown {
  const convert = read(read(standard, "jsonSchema"), side);
  if (typeof convert === "function") return convert({ target: "draft-2020-12" });
  throw new Error(`${standard.vendor} gives no JSON Schema of it`);
}

function violationOf(issue: unknown): FieldViolation {
  const message = read(issue, "message");
  const path = read(issue, "path") ?? [];
  if (typeof message !== "string") throw new SchemaFault(`returned an issue without a \`message\`${expected}`);
  if (!Array.isArray(path)) throw new SchemaFault(`returned an issue whose \`path\` is ${kindOf(path)}${expected}`);
  return { field: fieldOf(path.map(keyOf)), description: message };
}

function keyOf(step: unknown): PropertyKey {
  const key = typeof step === "object" ? read(step, "key") : step;
  if (typeof key === "string" || typeof key === "number" || typeof key === "symbol") return key;
  throw new SchemaFault(`returned an issue with ${kindOf(key)} in its \`path\`${expected}`);
}
