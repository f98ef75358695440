/** Converts values from PostgreSQL's text format to equivalent JSON, by the type of the column. */
import type { JsonValue } from "../../../job/job.ts";

/** Ids of types, which never change (pg_type.dat of PostgreSQL). */
const oids = {
  bool: 16,
  bytea: 17,
  int8: 20,
  int2: 21,
  int4: 23,
  oid: 26,
  json: 114,
  float4: 700,
  float8: 701,
  timestamp: 1114,
  timestamptz: 1184,
  jsonb: 3802,
} as const;

type Decode = (text: string) => JsonValue;

const decoders: ReadonlyMap<number, Decode> = new Map<number, Decode>([
  [oids.bool, (text) => text === "t"],
  [oids.bytea, (text) => Buffer.from(text.slice(2), "hex").toString("base64")],
  [oids.int2, Number],
  [oids.int4, Number],
  [oids.oid, Number],
  [oids.int8, integerOf],
  [oids.float4, floatOf],
  [oids.float8, floatOf],
  [oids.json, jsonOf],
  [oids.jsonb, jsonOf],
  [oids.timestamp, (text) => text.replace(" ", "T")],
  [oids.timestamptz, instantOf],
]);

const asItIs: Decode = (text) => text;

/** Other types, such as numeric, uuid, date, interval and arrays, stay text as PostgreSQL formats them. */
export function decoderOf(type: number): Decode {
  return decoders.get(type) ?? asItIs;
}

/** Integers are exact in JSON up to 2^53; larger ones stay text. */
function integerOf(text: string): JsonValue {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : text;
}

/** Infinity and NaN stay text, because JSON has no such numbers. */
function floatOf(text: string): JsonValue {
  const number = Number(text);
  return Number.isFinite(number) ? number : text;
}

/** Numbers in JSON that would be rounded become text, like those of columns. Only long ones and exponents need the check. */
function jsonOf(text: string): JsonValue {
  if (!/[\d.]{16}|\d[eE]/.test(text)) return JSON.parse(text) as JsonValue;
  const exact = (_key: string, value: unknown, { source }: { readonly source: string }) =>
    typeof value === "number" && isRounded(value, source) ? source : value;
  return JSON.parse(text, exact as (this: unknown, key: string, value: unknown) => unknown) as JsonValue;
}

/** Up to fifteen digits are always exact; longer numbers are if JavaScript formats them unchanged. */
function isRounded(value: number, source: string): boolean {
  if (/^-?\d+$/.test(source)) return !Number.isSafeInteger(value);
  const digits = source
    .replace(/[eE].*$/, "")
    .replace(/\D/g, "")
    .replace(/^0+/, "");
  return !Number.isFinite(value) || (digits.length > 15 && String(value) !== source);
}

/** RFC 3339 in UTC with the fraction unchanged; a JavaScript `Date` would drop microseconds. */
function instantOf(text: string): JsonValue {
  const [, date, time, fraction = "", hours, minutes = ":00"] =
    /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d+)?([+-]\d\d)(:\d\d)?$/.exec(text) ?? [];
  if (date === undefined) return text; // infinity, years before 1 or after 9999
  const instant = new Date(`${date}T${time}${hours}${minutes}`).toISOString();
  return instant.replace(".000Z", `${fraction}Z`);
}
