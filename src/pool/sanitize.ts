/**
 * Converts values from tasks other than outputs to plain data of bounded size. Values that JSON cannot represent become
 * a description in brackets, and long ones are truncated with a marker. None of these functions throws, whatever
 * getters and proxies do.
 */
import type { JsonValue } from "../job/job.ts";
import { maxJsonDepth } from "../job/json-scan.ts";

/** Approximate bound on details of a failure and fields of a log line, as JSON, without truncation markers. */
export const maxPlainChars = 16_384;
/** Characters of a value besides its text: quotes, commas, brackets. */
const valueChars = 4;

type Walk = {
  /** Characters that may still be used. */
  left: number;
  /** The objects that contain the current one. */
  readonly above: unknown[];
};

/** Objects stay objects; any other value becomes the field `value` of one. */
export function plain(details: unknown): { [key: string]: JsonValue } {
  const value = valueOf(details, { left: maxPlainChars, above: [] });
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : { value: value ?? null };
}

/** A value as text for people, cut to `maxChars` characters. */
export function textOf(value: unknown, maxChars: number): string {
  return cut(ownText(value), maxChars);
}

/** Truncates a text; a truncated one ends with an ellipsis. */
export function cut(text: string, maxChars: number): string {
  const whole = text.toWellFormed();
  return whole.length <= maxChars ? whole : `${whole.slice(0, maxChars - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}

/** Reads a property; undefined if it does not exist or cannot be read. */
export function read(value: unknown, key: string): unknown {
  try {
    return (value as Record<string, unknown>)[key];
  } catch {
    return undefined;
  }
}

function ownText(value: unknown): string {
  if (!isObject(value)) return String(value);
  const message = read(value, "message");
  if (typeof message === "string" && message !== "") return message;
  try {
    const text = (String as (value: unknown) => string)(value);
    if (!Array.isArray(value) && !/^(\[object \w+\])?$/.test(text)) return text;
  } catch {
    // it has no text of its own
  }
  const data = valueOf(value, { left: maxPlainChars, above: [] });
  const json = typeof data === "string" ? data : JSON.stringify(data);
  if (json !== "{}") return json;
  const name = read(read(value, "constructor"), "name");
  return typeof name === "string" ? `[${name}]` : "[object]"; // a class may define a `name` that is not a string
}

/** Undefined for values that JSON omits. */
function valueOf(value: unknown, walk: Walk): JsonValue | undefined {
  walk.left -= valueChars;
  switch (typeof value) {
    case "string":
      return stringOf(value, walk);
    case "number":
    case "bigint": {
      const text = stringOf(String(value), walk);
      return Number.isFinite(value) ? (value as number) : text;
    }
    case "boolean":
      return value;
    case "object":
      return value === null ? null : objectOf(value, walk);
    default:
      return undefined;
  }
}

function stringOf(value: string, walk: Walk): string {
  const text = value.toWellFormed();
  const room = Math.max(walk.left, 0);
  walk.left -= text.length;
  return text.length <= room ? text : `${cut(text, room + 1)} (${text.length - room} more characters)`;
}

function objectOf(value: object, walk: Walk): JsonValue {
  if (walk.above.includes(value)) return "[circular]";
  if (walk.above.length >= maxJsonDepth) return `[nested deeper than ${maxJsonDepth} levels]`;
  walk.above.push(value);
  try {
    return partsOf(value, walk);
  } catch {
    return "[cannot be read]";
  } finally {
    walk.above.pop();
  }
}

function partsOf(value: object, walk: Walk): JsonValue {
  if (value instanceof Error) return stringOf(`${String(read(value, "name"))}: ${ownText(value)}`, walk);
  if (value instanceof Map || value instanceof Set) return `[${value.constructor.name} of ${value.size}]`;
  if (ArrayBuffer.isView(value)) return `[${value.constructor.name} of ${value.byteLength} bytes]`;
  if (Array.isArray(value)) return listOf(value, walk);
  const { toJSON } = value as { readonly toJSON?: unknown };
  if (typeof toJSON === "function") return valueOf(toJSON.call(value, ""), walk) ?? null;
  return fieldsOf(value, walk);
}

function listOf(list: readonly unknown[], walk: Walk): JsonValue[] {
  const values: JsonValue[] = [];
  for (const each of list) {
    if (walk.left <= 0) return [...values, `… (${list.length - values.length} more)`];
    values.push(valueOf(each, walk) ?? null);
  }
  return values;
}

function fieldsOf(value: object, walk: Walk): { [key: string]: JsonValue } {
  const fields: [string, JsonValue][] = [];
  const keys = Object.keys(value);
  for (const [index, key] of keys.entries()) {
    if (walk.left <= 0) {
      fields.push(["…", `(${keys.length - index} more)`]);
      break;
    }
    walk.left -= key.length;
    const field = fieldOf(value, key, walk);
    if (field !== undefined) fields.push([cut(key, 200), field]);
  }
  return Object.fromEntries(fields);
}

function fieldOf(value: object, key: string, walk: Walk): JsonValue | undefined {
  try {
    return valueOf((value as Record<string, unknown>)[key], walk);
  } catch {
    return "[cannot be read]"; // its getter threw
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
