/** Requests in JSON, read strictly: what cannot be read is refused like everything else, with a reason and the field. */
import { type DescMessage, fromJsonString, type JsonReadOptions, type Registry } from "@bufbuild/protobuf";
import { type FieldViolation, invalid, messageOf, refusal } from "../errors.ts";

/** A request that names more unknown fields than this is told of the first ones. */
const maxViolations = 20;
/** What is quoted of the request is cut to so many characters, for it goes into headers. */
const maxQuoted = 100;
const maxMessage = 500;
/** protobuf-es reads no deeper. */
const maxDepth = 100;

/**
 * Throws `invalid_argument` with the path of each field that a message does not have, such as `filter.taks`, and
 * `malformed_request` for all else that keeps the text from being this message.
 */
export function checkJson(desc: DescMessage, text: string, options: Partial<JsonReadOptions>): void {
  try {
    fromJsonString(desc, text, options);
  } catch (error) {
    const violations = unknownFields(desc, text, options.registry);
    if (violations.length > 0) throw invalid(violations);
    const what = `it is not a ${desc.typeName}: ${messageOf(error)}`.slice(0, maxMessage);
    throw refusal("malformed_request", [what], { cause: error });
  }
}

/** The first ones, for a request may have a million. */
function unknownFields(desc: DescMessage, text: string, registry: Registry | undefined): FieldViolation[] {
  const found: FieldViolation[] = [];

  function walk(type: DescMessage, value: unknown, path: string, depth: number): void {
    if (!isObject(value) || depth > maxDepth) return;
    if (type.typeName === "google.protobuf.Any") return walkAny(value, path, depth);
    if (type.typeName.startsWith("google.protobuf.")) return; // their JSON is not made of their fields
    for (const [key, given] of Object.entries(value)) {
      if (found.length === maxViolations) return;
      const field = type.fields.find(({ jsonName, name }) => key === jsonName || key === name);
      if (!field) found.push({ field: `${path}${key.slice(0, maxQuoted)}`, description: unknownTo(type) });
      else if (field.message) {
        const own = `${path}${field.name}`;
        if (field.fieldKind === "message") walk(field.message, given, `${own}.`, depth + 1);
        else for (const [place, each] of entriesOf(given)) walk(field.message, each, `${own}[${place}].`, depth + 1);
      }
    }
  }

  function walkAny({ "@type": url, ...fields }: JsonObject, path: string, depth: number): void {
    const type = registry?.getMessage(String(url).split("/").at(-1) ?? "");
    if (type) walk(type, fields, path, depth + 1);
  }

  try {
    walk(desc, JSON.parse(text), "", 0);
  } catch {
    // it is no JSON, and so has no fields
  }
  return found;
}

type JsonObject = { readonly [key: string]: unknown };

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Elements of a list by their places, or of a map by their keys. */
function entriesOf(given: unknown): [place: string, value: unknown][] {
  if (typeof given !== "object" || given === null) return [];
  return Object.entries(given).map(([place, value]) => [place.slice(0, maxQuoted), value]);
}

function unknownTo({ typeName, fields }: DescMessage): string {
  const names = fields.map(({ name }) => name).join(", ");
  return `is no field of ${typeName}, which has ${names || "none"}: mend its name, or leave it out`;
}
