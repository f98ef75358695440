/** JSON Schemas, validated by Ajv, which compiles them to code; only used in threads that load tasks. */
import type { Ajv, ErrorObject } from "ajv";
import type { FormatsPlugin } from "ajv-formats";
import { createRequire } from "node:module";
import { type FieldViolation, messageOf } from "../../errors.ts";
import { maxJsonDepth } from "../../job/json-scan.ts";
import { findNonJson } from "../../json-value.ts";
import { cut } from "../sanitize.ts";
import { AsyncSchema, fieldOf, maxViolations, type Schema, shapeOf, type Side } from "./schema.ts";

const maxDepth = 100;
const maxAllowedChars = 200;

const options = {
  addUsedSchema: false, // two tasks may have the same $id
  allErrors: true,
  logger: false,
  ownProperties: true, // a required `constructor` is missing unless it was sent
  strictTuples: false,
  strictTypes: false,
} as const;

const draft7 = "http://json-schema.org/draft-07/schema";
/** Modules of Ajv by draft. Loaded with the first schema, because they take 5 MiB in each thread. */
const modules: ReadonlyMap<string, string> = new Map([
  ["https://json-schema.org/draft/2020-12/schema", "ajv/dist/2020.js"],
  [draft7, "ajv"],
]);
const [newest] = modules.keys() as Iterator<string> & Iterable<string>;
const load = createRequire(import.meta.url);
const checkers = new Map<string, Ajv>();

/** Throws an Error whose message continues after "its input". */
export function openJsonSchema(given: object, side: Side): Schema {
  const fault = findNonJson(given, maxDepth);
  if (fault) throw new Error(`is no JSON Schema: its ${fault.path.replace(/^\./, "") || "value"} ${fault.description}`);
  if ("$async" in given) throw new AsyncSchema();
  const ajv = ajvFor("$schema" in given ? String(given.$schema) : (newest as string));
  const isValid = compile(ajv, given);
  return {
    shape: shapeOf("json-schema", () => given),
    check(value) {
      if (value instanceof Uint8Array) return { violations: [{ field: "", description: "is bytes and must be JSON" }] };
      const json = side === "output" ? jsonOf(value) : (value ?? null);
      if (json === undefined) return { value }; // it is not JSON, and is refused later with its path
      return isValid(json) ? { value: json } : { violations: violationsOf(isValid.errors, json) };
    },
  };
}

/** An output as clients receive it: without undefined members, with dates as text. Undefined: it is not JSON. */
function jsonOf(output: unknown): unknown {
  if (output === undefined) return null;
  const text = findNonJson(output, maxJsonDepth) ? undefined : (JSON.stringify(output) as string | undefined);
  return text === undefined ? undefined : JSON.parse(text);
}

function ajvFor(draft: string): Ajv {
  const name = draft.replace(/#$/, "");
  const path = modules.get(name);
  if (path === undefined) {
    throw new Error(
      `has the unknown $schema ${JSON.stringify(cut(draft, 100))}; there are: ${[...modules.keys()].join(", ")}`,
    );
  }
  let ajv = checkers.get(name);
  if (!ajv) {
    const { default: Checker } = load(path) as { readonly default: typeof Ajv };
    const { default: addFormats } = load("ajv-formats") as { readonly default: FormatsPlugin };
    ajv = addFormats(new Checker(options));
    checkers.set(name, ajv);
  }
  return ajv;
}

/** Refuses unknown keywords, which are usually misspelt, except extensions that start with `x-`. */
function compile(ajv: Ajv, schema: object) {
  if (ajv.validateSchema(schema) !== true) throw new Error(`is no JSON Schema: ${sentenceOf(ajv.errors, schema)}`);
  JSON.stringify(schema, (key, value: unknown) => {
    if (key.startsWith("x-") && !(key in ajv.RULES.keywords)) ajv.addKeyword(key);
    return value;
  });
  try {
    return ajv.compile(schema);
  } catch (error) {
    throw new Error(`is no JSON Schema: ${messageOf(error)}`, { cause: error });
  }
}

function sentenceOf(errors: Errors, schema: object): string {
  const [first] = violationsOf(errors, schema);
  return first ? `its ${first.field || "value"} ${first.description}` : "";
}

type Errors = readonly ErrorObject[] | null | undefined;

function violationsOf(errors: Errors, value: unknown): readonly FieldViolation[] {
  return (errors ?? []).slice(0, maxViolations).map((error) => {
    const { path, description } = describe(error);
    return { field: fieldOf([...pathIn(value, error.instancePath), ...path]), description };
  });
}

/** Describes an error like other violations, at the field itself and not at the object around it. */
function describe({ keyword, params, message }: ErrorObject): { path: readonly string[]; description: string } {
  const facts = params as { readonly [name: string]: unknown };
  switch (keyword) {
    case "required":
      return { path: [String(facts["missingProperty"])], description: "is missing" };
    case "additionalProperties":
    case "unevaluatedProperties":
      return { path: [String(facts[keyword.replace(/ies$/, "y")])], description: "is not a known field" };
    case "enum":
      return { path: [], description: `must be one of ${shown(facts["allowedValues"])}` };
    case "const":
      return { path: [], description: `must be ${shown(facts["allowedValue"])}` };
    default:
      return { path: [], description: message ?? `breaks the schema's ${keyword}` };
  }
}

function shown(value: unknown): string {
  return cut(
    JSON.stringify(value)
      .replace(/^\[(.*)\]$/, "$1")
      .replaceAll('","', '", "'),
    maxAllowedChars,
  );
}

/** Converts a JSON Pointer (RFC 6901) to a path, with the value to distinguish list indices from keys. */
function pathIn(value: unknown, pointer: string): readonly PropertyKey[] {
  let at = value;
  return pointer
    .split("/")
    .slice(1)
    .map((step) => {
      const name = step.replaceAll("~1", "/").replaceAll("~0", "~");
      const key = Array.isArray(at) ? Number(name) : name;
      at = (at as Record<PropertyKey, unknown>)[key];
      return key;
    });
}
