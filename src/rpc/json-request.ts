/** Decodes requests in JSON strictly: invalid ones are refused with a reason and the field, as in other formats. */
import {
  type DescMessage,
  fromJson,
  fromJsonString,
  type JsonReadOptions,
  type Message,
  type Registry,
} from "@bufbuild/protobuf";
import { type FieldViolation, invalid, messageOf, type MillpondError, refusal } from "../errors.ts";
import type { JsonValue } from "../job/job.ts";
import { describeInexact, pathAt, scanJson } from "../job/json-scan.ts";
import { checkCount, countedUpTo, type RequestBounds } from "./request-bounds.ts";
import { maxNesting } from "../job/wire-scan.ts";

/** A refusal names at most this many unknown fields. */
const maxViolations = 20;
/** Bound on the characters quoted from the request, because errors are sent in headers. */
const maxQuoted = 100;
const maxMessage = 500;
/** Unknown fields are searched for down to this depth. */
const maxDepth = 100;

/** Throws on bytes that are not UTF-8. A byte order mark is skipped. */
const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Decodes a request. Throws `too_many_values` before decoding; `invalid_argument` with the path of each unknown field,
 * such as `filter.taks`, and of a number that would be rounded; `malformed_request` if the bytes are not this message
 * for any other reason.
 */
export function readJson(desc: DescMessage, bytes: Uint8Array, { maxValues, types }: RequestBounds): Message {
  const text = decodeUtf8(bytes);
  const facts = scanJson(text, { maxDepth: maxNesting, mostValues: countedUpTo(maxValues) });
  checkCount(facts.values, maxValues);
  if (facts.tooDeepAt !== -1)
    throw wrong(text, facts.tooDeepAt, `is nested deeper than ${maxNesting} levels: flatten it`);
  if (facts.inexactAt !== -1) throw wrong(text, facts.inexactAt, describeInexact(text, facts.inexactAt));
  let json: JsonValue | undefined;
  try {
    json = JSON.parse(text) as JsonValue;
    // `JSON.parse` keeps the last of duplicate members; only `fromJsonString` refuses them
    if (membersIn(json) < facts.members) return fromJsonString(desc, text, optionsOf(types));
    return fromJson(desc, json, optionsOf(types));
  } catch (error) {
    const violations = json === undefined ? [] : unknownFields(desc, json, types);
    if (violations.length > 0) throw invalid(violations);
    const what = `it is not a ${desc.typeName}: ${messageOf(error)}`.slice(0, maxMessage);
    throw refusal("malformed_request", [what], { cause: error });
  }
}

function optionsOf(types: Registry): Partial<JsonReadOptions> {
  // an unknown field may narrow a selection, and is usually a typo
  return { registry: types, ignoreUnknownFields: false, recursionLimit: maxNesting };
}

function membersIn(json: JsonValue): number {
  if (typeof json !== "object" || json === null) return 0;
  const parts = Object.values(json);
  let members = Array.isArray(json) ? 0 : parts.length;
  for (const part of parts) members += membersIn(part);
  return members;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (error) {
    throw refusal("malformed_request", ["it is not valid UTF-8: encode JSON as UTF-8"], { cause: error });
  }
}

function wrong(text: string, at: number, description: string): MillpondError {
  return invalid([{ field: pathAt(text, at).slice(0, 2 * maxQuoted), description }]);
}

/** Only the first `maxViolations`: a request may have a million. */
function unknownFields(desc: DescMessage, json: JsonValue, types: Registry): FieldViolation[] {
  const found: FieldViolation[] = [];

  function walk(type: DescMessage, value: unknown, path: string, depth: number): void {
    if (!isObject(value) || depth > maxDepth) return;
    if (type.typeName === "google.protobuf.Any") return walkAny(value, path, depth);
    if (type.typeName.startsWith("google.protobuf.")) return; // well-known types have their own JSON mapping
    for (const [key, given] of Object.entries(value)) {
      if (found.length === maxViolations) return;
      const field = type.fields.find(({ jsonName, name }) => key === jsonName || key === name);
      if (!field) found.push({ field: `${path}${key.slice(0, maxQuoted)}`, description: unknownTo(type) });
      else if (field.message) {
        const own = `${path}${field.name}`;
        if (field.fieldKind === "message") walk(field.message, given, `${own}.`, depth + 1);
        else for (const [key, each] of entriesOf(given)) walk(field.message, each, `${own}[${key}].`, depth + 1);
      }
    }
  }

  function walkAny({ "@type": url, ...fields }: JsonObject, path: string, depth: number): void {
    const type = types.getMessage(String(url).split("/").at(-1) ?? "");
    if (type) walk(type, fields, path, depth + 1);
  }

  walk(desc, json, "", 0);
  return found;
}

type JsonObject = { readonly [key: string]: unknown };

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Elements of a list by index, or of a map by key. */
function entriesOf(given: unknown): [key: string, value: unknown][] {
  if (typeof given !== "object" || given === null) return [];
  return Object.entries(given).map(([key, value]) => [key.slice(0, maxQuoted), value]);
}

function unknownTo({ typeName, fields }: DescMessage): string {
  const names = fields.map(({ name }) => name).join(", ");
  return `is no field of ${typeName}, which has ${names || "none"}: correct its name, or leave it out`;
}
