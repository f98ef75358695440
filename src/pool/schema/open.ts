/** Opens the schema of a task's `input` or `output`. */
import { openJsonSchema } from "./json-schema.ts";
import { kindOf, type Schema, type Side } from "./schema.ts";
import { isStandard, openStandard } from "./standard.ts";

/** Throws an Error whose message continues after "its input". */
export function openSchema(given: unknown, side: Side): Schema {
  if (isStandard(given)) return openStandard(given, side);
  if (typeof given !== "object" || given === null || Array.isArray(given) || given instanceof Promise) {
    throw new Error(`is ${kindOf(given)}: ${remedy}`);
  }
  if ("proto" in given)
    throw new Error("is no message type of protobuf-es: give a generated one, such as GreetInputSchema");
  const parts = Object.values(given);
  if (parts.some(isStandard))
    throw new Error("has schemas as its fields and is none: wrap it, as in `z.object({...})`");
  if ("safeParse" in given || typeof (given as { validate?: unknown }).validate === "function") {
    throw new Error("is a validator without `~standard`: use a version of its library that has Standard Schema");
  }
  if (parts.length === 0) throw new Error(`is an empty object, which says nothing: leave it out, or ${remedy}`);
  return openJsonSchema(given, side);
}

const remedy =
  "give a message type such as GreetInputSchema, a Standard Schema such as `z.object({...})`, or a JSON Schema";
