/** The types of parameters: the JSON that each accepts, and the values passed to the databases. */
import type { JsonValue } from "../../job/job.ts";

/** A value for a database driver. */
export type Bound = string | number | bigint | Uint8Array | null;

/** Declared as `integer`, `text?` (may be null or missing) or `uuid[]` (a list). */
export type Parameter = { readonly type: TypeName; readonly isList: boolean; readonly isNullable: boolean };

type Type = {
  /** Why a value is invalid; undefined: it is valid. */
  readonly fault: (value: JsonValue) => string | undefined;
  /** In text form, which PostgreSQL parses as the type that the statement requires. */
  readonly toPostgres: (value: JsonValue) => string | Uint8Array;
  readonly toSqlite: (value: JsonValue) => Exclude<Bound, null>;
};

const must = (what: string) => (isValid: (value: JsonValue) => boolean) => (value: JsonValue) =>
  isValid(value) ? undefined : `is ${shown(value)} and must be ${what}`;

const matches = (pattern: RegExp) => (value: JsonValue) => typeof value === "string" && pattern.test(value);
const smallest = -(2n ** 63n);
const largest = 2n ** 63n - 1n;

const types = {
  text: {
    fault: must("text without the character NUL")((value) => typeof value === "string" && !value.includes("\0")),
    toPostgres: String,
    toSqlite: String,
  },
  integer: {
    fault: must("a whole number of 64 bits, as text beyond 9007199254740991")(
      (value) =>
        Number.isSafeInteger(value) ||
        (matches(/^-?\d{1,19}$/)(value) && BigInt(value as string) >= smallest && BigInt(value as string) <= largest),
    ),
    toPostgres: String,
    toSqlite: (value) => BigInt(value as string | number),
  },
  number: {
    fault: must("a number")((value) => typeof value === "number" && Number.isFinite(value)),
    toPostgres: String,
    toSqlite: Number,
  },
  numeric: {
    fault: must("a decimal number, such as 12.30 as text")(
      (value) =>
        (typeof value === "number" && Number.isFinite(value)) ||
        matches(/^(?=.{1,1000}$)-?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,4})?$/)(value),
    ),
    toPostgres: String,
    toSqlite: String, // a number would be rounded; a numeric column converts the text
  },
  boolean: {
    fault: must("true or false")((value) => typeof value === "boolean"),
    toPostgres: String,
    toSqlite: Number,
  },
  bytes: {
    fault: must("bytes in base64")(
      matches(/^(?:[A-Za-z0-9+/_-]{4})*(?:[A-Za-z0-9+/_-]{2}={0,2}|[A-Za-z0-9+/_-]{3}=?)?$/),
    ),
    toPostgres: fromBase64,
    toSqlite: fromBase64,
  },
  timestamp: {
    fault: must("a time of RFC 3339, such as 2026-01-31T12:00:00Z")(isTimestamp),
    toPostgres: String,
    toSqlite: (value) => new Date(value as string).toISOString(),
  },
  date: {
    fault: must("a date, such as 2026-01-31")((value) => typeof value === "string" && isDate(value)),
    toPostgres: String,
    toSqlite: String,
  },
  uuid: {
    fault: must("a UUID")(matches(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i)),
    toPostgres: String,
    toSqlite: String,
  },
  json: {
    fault: () => undefined,
    toPostgres: (value) => JSON.stringify(value),
    toSqlite: (value) => JSON.stringify(value),
  },
} as const satisfies { readonly [name: string]: Type };

export type TypeName = keyof typeof types;
const typeNames = Object.keys(types) as TypeName[];
/** Types without lists: these would need a format of their own. */
const unlisted: readonly TypeName[] = ["bytes", "json"];

/** Parses a declaration; undefined if it is invalid. */
export function readParameter(declared: unknown): Parameter | undefined {
  const [, name, list, nullable] = (typeof declared === "string" && /^([a-z]+)(\[\])?(\?)?$/.exec(declared)) || [];
  const type = typeNames.find((each) => each === name);
  if (type === undefined || (list !== undefined && unlisted.includes(type))) return undefined;
  return { type, isList: list !== undefined, isNullable: nullable !== undefined };
}

export const declarations = `one of ${typeNames.join(", ")}; with ? when it may be null, and with [] when it is a list (not of ${unlisted.join(" or ")})`;

/** Why a value is invalid, and the path of the fault, such as `[3]` in a list. */
export function faultOfValue(
  { type, isList, isNullable }: Parameter,
  value: JsonValue | undefined,
): { readonly at: string; readonly what: string } | undefined {
  if (value === undefined || (value === null && type !== "json")) {
    return isNullable ? undefined : { at: "", what: value === null ? "is null, and must not be" : "is missing" };
  }
  if (!isList) return faultAt("", types[type].fault(value));
  if (!Array.isArray(value)) return { at: "", what: `is ${shown(value)} and must be a list` };
  for (const [index, item] of value.entries()) {
    const fault = faultAt(`[${index}]`, types[type].fault(item));
    if (fault) return fault;
  }
  return undefined;
}

function faultAt(at: string, what: string | undefined) {
  return what === undefined ? undefined : { at, what };
}

/** The value for the driver. It must have been checked. */
export function boundFor(dialect: "postgres" | "sqlite", parameter: Parameter, value: JsonValue | undefined): Bound {
  const { type, isList } = parameter;
  if (value === undefined || (value === null && type !== "json")) return null;
  const { toPostgres, toSqlite }: Type = types[type];
  const convert = dialect === "postgres" ? toPostgres : toSqlite;
  if (!isList) return convert(value);
  const items = (value as JsonValue[]).map((item) => convert(item));
  // an array literal for PostgreSQL, a JSON list for SQLite's json_each
  return dialect === "postgres"
    ? `{${items.map((item) => `"${String(item).replace(/["\\]/g, "\\$&")}"`).join()}}`
    : `[${items.map((item) => (typeof item === "string" ? JSON.stringify(item) : String(item))).join()}]`;
}

const maxShownChars = 40;

function shown(value: JsonValue): string {
  const text = JSON.stringify(value);
  return text.length <= maxShownChars ? text : `${text.slice(0, maxShownChars)}…`;
}

function fromBase64(value: JsonValue): Buffer {
  return Buffer.from(value as string, "base64");
}

function isTimestamp(value: JsonValue): boolean {
  const [, date = "", hour, minute, second] =
    (typeof value === "string" &&
      /^(\d{4}-\d\d-\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/.exec(value)) ||
    [];
  return isDate(date) && Number(hour) < 24 && Number(minute) < 60 && Number(second) < 60;
}

/** Refuses dates such as 2026-02-30, which JavaScript turns into 2 March. */
function isDate(value: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(value) || value.startsWith("0000")) return false;
  const time = Date.parse(`${value}T00:00:00Z`);
  return Number.isFinite(time) && new Date(time).toISOString().startsWith(value);
}
