/** Standard Schemas, of zod, valibot, ArkType and others: see https://standardschema.dev. Their code is the task's. */
import type { FieldViolation } from "../../errors.ts";
import type { StandardIssue, StandardSchema } from "../../schema.ts";
import { read, textOf } from "../plain.ts";
import { AsyncSchema, fieldOf, maxViolations, type Schema, shapeOf, type Side } from "./schema.ts";

type Standard = StandardSchema["~standard"];

const version = 1;

export function isStandard(given: unknown): given is StandardSchema {
  return ((typeof given === "object" && given !== null) || typeof given === "function") && "~standard" in given;
}

/** Throws an Error whose message goes on behind "its input". */
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
    check(value) {
      const result = settled(standard.validate(value));
      if (!result.issues) return { value: result.value };
      return { violations: result.issues.slice(0, maxViolations).map(violationOf) };
    },
  };
}

/** Most asynchronous schemas are so for every value. Those that are only for some refuse the job in question. */
function refuseAsync(standard: Standard): void {
  try {
    settled(standard.validate(undefined));
  } catch (error) {
    if (error instanceof AsyncSchema) throw error; // what else it throws may well be about this value
  }
}

function settled<T extends object>(result: T | Promise<T>): T {
  if (!("then" in result)) return result;
  result.catch(() => undefined);
  throw new AsyncSchema();
}

/** By an extension that libraries may have: https://standardschema.dev/json-schema. */
function jsonSchemaOf(standard: Standard, side: Side): unknown {
  const convert = read(read(standard, "jsonSchema"), side);
  if (typeof convert === "function") return convert({ target: "draft-2020-12" });
  throw new Error(`${standard.vendor} gives no JSON Schema of it`);
}

function violationOf({ path = [], message }: StandardIssue): FieldViolation {
  const keys = path.map((step) => (typeof step === "object" ? step.key : step));
  return { field: fieldOf(keys), description: message };
}
