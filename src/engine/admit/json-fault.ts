/**
 * Finds the part of JSON that does not match a message type. The error of protobuf-es has the reason, but not always
 * the path.
 */
import { type DescField, type DescMessage, fromJson } from "@bufbuild/protobuf";
import { messageOf } from "../../errors.ts";
import type { JsonValue } from "../../job/job.ts";

/** `path` starts at the message, like `items[2].width`; empty: the message itself. */
export type JsonFault = { readonly path: string; readonly description: string };

/** Approximate bound on the values that are read to find a fault. If an input has more, the path may be incomplete. */
const maxReads = 40_000;

/**
 * The first part that `fromJson(type, json)` refuses, found by reading each part on its own; null: it refuses none. A
 * part is read once for each level above it, so in a large input only a few levels are searched.
 */
export function findJsonFault(type: DescMessage, json: JsonValue): JsonFault | null {
  return faultOf(type, json, Math.ceil(maxReads / valuesIn(json)));
}

function faultOf(type: DescMessage, json: JsonValue, levels: number): JsonFault | null {
  const error = errorOf(type, json);
  if (error === undefined) return null;
  if (isObject(json) && levels > 0) {
    for (const [key, value] of Object.entries(json)) {
      const fault = faultOfField(type, key, value, levels - 1);
      if (fault) return fault;
    }
  }
  return { path: "", description: describe(error) };
}

function valuesIn(json: JsonValue): number {
  if (typeof json !== "object" || json === null) return 1;
  let values = 1;
  for (const each of Object.values(json)) values += valuesIn(each);
  return values;
}

function faultOfField(type: DescMessage, key: string, value: JsonValue, levels: number): JsonFault | null {
  const error = errorOf(type, { [key]: value });
  if (error === undefined) return null;
  const field = type.fields.find(({ name, jsonName }) => name === key || jsonName === key);
  if (!field) return { path: key, description: `${type.typeName} has no such field` };
  const inner = faultInside(type, field, key, value, levels);
  const names =
    field.fieldKind === "enum" ? `; there are: ${field.enum.values.map(({ name }) => name).join(", ")}` : "";
  return { path: key + (inner?.path ?? ""), description: inner?.description ?? describe(error) + names };
}

/** Paths that start with the separator: `.width`, `[2].width`. */
function faultInside(
  type: DescMessage,
  field: DescField,
  key: string,
  value: JsonValue,
  levels: number,
): JsonFault | null {
  if (field.fieldKind === "list" && Array.isArray(value)) {
    const index = value.findIndex((item) => errorOf(type, { [key]: [item] }) !== undefined);
    if (index === -1) return null;
    const inner =
      field.listKind === "message" ? faultOfMessage(field.message, value[index] as JsonValue, levels) : null;
    return inner && { ...inner, path: `[${index}]${inner.path}` };
  }
  return field.fieldKind === "message" ? faultOfMessage(field.message, value, levels) : null;
}

function faultOfMessage(type: DescMessage, value: JsonValue, levels: number): JsonFault | null {
  const fault = faultOf(type, value, levels);
  return fault && { ...fault, path: fault.path && `.${fault.path}` };
}

function isObject(json: JsonValue): json is { [key: string]: JsonValue } {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function errorOf(type: DescMessage, json: JsonValue): unknown {
  try {
    fromJson(type, json);
    return undefined;
  } catch (error) {
    return error;
  }
}

function describe(error: unknown): string {
  const what = messageOf(error).replace(/^cannot decode (?:field|message|enum) \S+ from JSON(?:: | )/, "");
  return /^(expected|invalid)/.test(what) ? what : `cannot be ${what}`;
}
