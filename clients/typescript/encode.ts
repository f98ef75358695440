/** Brings what programs write, milliseconds and dates, to what travels, and says which of it cannot travel. */
import { create } from "@bufbuild/protobuf";
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { MillpondClientError } from "./error.ts";

/** What google.protobuf.Duration can hold: about 10,000 years (https://protobuf.dev/reference/protobuf/google.protobuf/). */
const longestMs = 315_576_000_000_000;

/** Milliseconds, of which there may be parts, as a duration. Throws `invalid_argument` that names the field. */
export function toDuration(ms: number | undefined, field: string): Duration | undefined {
  if (ms === undefined) return undefined;
  if (typeof ms !== "number" || !(Math.abs(ms) <= longestMs)) throw unfit(field, `is ${ms} and must be milliseconds`);
  const seconds = Math.trunc(ms / 1000);
  const nanos = Math.round((ms - seconds * 1000) * 1e6);
  return create(DurationSchema, { seconds: BigInt(seconds), nanos: nanos === 0 ? 0 : nanos });
}

/** A moment as a timestamp. Throws `invalid_argument` that names the field. */
export function toTimestamp(at: Date | undefined, field: string): Timestamp | undefined {
  if (at === undefined) return undefined;
  const ms = at instanceof Date ? at.getTime() : Number.NaN;
  if (Number.isNaN(ms)) throw unfit(field, `is ${String(at)} and must be a valid Date`);
  const seconds = Math.floor(ms / 1000);
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos: (ms - seconds * 1000) * 1e6 });
}

/** A whole number that 32 bits can hold. Throws `invalid_argument` that names the field. */
export function toInteger(value: number, field: string, min: number): number {
  const max = 0x7fffffff;
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw unfit(field, `is ${value} and must be a whole number from ${min} to ${max}`);
}

/** The number that stands for a word. Throws `invalid_argument` that names the field. */
export function toNumber<E extends number>(word: string, field: string, words: ReadonlyMap<E, string>): E {
  for (const [number, known] of words) if (known === word) return number;
  throw unfit(field, `is ${JSON.stringify(word)} and must be one of ${[...words.values()].join(", ")}`);
}

/** Texts by name. Throws `invalid_argument` that names the one that is no text. */
export function toTexts(
  texts: { readonly [name: string]: string } | undefined,
  field: string,
): { [name: string]: string } {
  for (const [name, value] of Object.entries(texts ?? {})) {
    if (typeof value !== "string") throw unfit(`${field}.${name}`, `is ${String(value)} and must be a text`);
  }
  return { ...texts };
}

/** The error for a field that cannot be sent as it is. */
export function unfit(field: string, description: string, options?: ErrorOptions): MillpondClientError {
  return new MillpondClientError(
    {
      reason: "invalid_argument",
      codeName: "INVALID_ARGUMENT",
      message: `${field}: ${description}`,
      violations: [{ field, description }],
    },
    options,
  );
}
