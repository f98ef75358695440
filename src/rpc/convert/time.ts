/** Times and durations between the wire and milliseconds. */
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";

/** What a `google.protobuf.Timestamp` may hold: the years 1 to 9999. */
const firstSecond = -62_135_596_800n;
const lastSecond = 253_402_300_799n;

/** Of whole milliseconds since 1970. Every result has three, so it is written out and not built by a walk over the fields. */
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
 * Milliseconds, what is below one rounded away from zero: a timeout of a microsecond is none of zero, and a delay below
 * zero stays below it. NaN when it is no duration: too many nanoseconds, or of another sign than the seconds.
 */
export function durationToMs({ seconds, nanos }: Pick<Duration, "seconds" | "nanos">): number {
  const isWrong = Math.abs(nanos) > 999_999_999 || (seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0);
  if (isWrong) return Number.NaN;
  const ms = Number(seconds) * 1000 + nanos / 1e6;
  return Math.sign(ms) * Math.ceil(Math.abs(ms));
}

/** Milliseconds since 1970, what is below one rounded up. NaN when it is no time: out of range. */
export function timestampToMs({ seconds, nanos }: Pick<Timestamp, "seconds" | "nanos">): number {
  if (seconds < firstSecond || seconds > lastSecond || nanos < 0 || nanos > 999_999_999) return Number.NaN;
  return Number(seconds) * 1000 + Math.ceil(nanos / 1e6);
}

/** A field that is absent when there is no such time. */
export function optionalTime<K extends string>(key: K, at: number | null): { [key in K]?: Timestamp } {
  return (at === null ? {} : { [key]: toTimestamp(at) }) as { [key in K]?: Timestamp };
}
