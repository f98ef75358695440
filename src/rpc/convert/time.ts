/** Converts times and durations between protobuf and milliseconds. */
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";

/** Range of a `google.protobuf.Timestamp`: the years 1 to 9999. */
const firstSecond = -62_135_596_800n;
const lastSecond = 253_402_300_799n;

/** From whole milliseconds since 1970. An object literal, because every result has three timestamps and `create` is slower. */
export function toTimestamp(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  return {
    $typeName: "google.protobuf.Timestamp",
    seconds: BigInt(seconds),
    nanos: (ms - seconds * 1000) * 1_000_000,
  };
}

/** Negative durations become zero. */
export function durationFromMs(ms: number): Pick<Duration, "seconds" | "nanos"> {
  const positive = Math.max(ms, 0);
  const seconds = Math.floor(positive / 1000);
  return { seconds: BigInt(seconds), nanos: Math.floor((positive - seconds * 1000) * 1e6) };
}

/**
 * Milliseconds, rounded away from zero: a timeout of a microsecond does not become 0, and a negative delay stays
 * negative. NaN if the duration is invalid: too many nanoseconds, or of another sign than the seconds.
 */
export function durationToMs({ seconds, nanos }: Pick<Duration, "seconds" | "nanos">): number {
  const isWrong = Math.abs(nanos) > 999_999_999 || (seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0);
  if (isWrong) return Number.NaN;
  const ms = Number(seconds) * 1000 + nanos / 1e6;
  return Math.sign(ms) * Math.ceil(Math.abs(ms));
}

/** Milliseconds since 1970, rounded up. NaN if the time is out of range. */
export function timestampToMs({ seconds, nanos }: Pick<Timestamp, "seconds" | "nanos">): number {
  if (seconds < firstSecond || seconds > lastSecond || nanos < 0 || nanos > 999_999_999) return Number.NaN;
  return Number(seconds) * 1000 + Math.ceil(nanos / 1e6);
}

/** An object with the field, or without it when the time is null. */
export function optionalTime<K extends string>(key: K, at: number | null): { [key in K]?: Timestamp } {
  return (at === null ? {} : { [key]: toTimestamp(at) }) as { [key in K]?: Timestamp };
}
