/** Parses durations and times from the command line. */
import { systemClock } from "../../clients/typescript/clock.ts";
import { type FlagValues, flagText, UsageError } from "./command.ts";

const units: { readonly [unit: string]: number } = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const yearMs = 365 * 86_400_000;

/** `250ms`, `5s`, `1.5m`, `1h`, `30d` in milliseconds; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? [];
  return amount === undefined ? undefined : Number(amount) * (units[unit] ?? Number.NaN);
}

/**
 * The value of a flag that takes a duration, in milliseconds; undefined when it was not given. Throws a UsageError that
 * names the bounds.
 */
export function durationOf(
  flags: FlagValues,
  flag: string,
  { min, max }: { readonly min: string; readonly max: string },
): number | undefined {
  const text = flagText(flags, flag);
  if (text === undefined) return undefined;
  const ms = parseDuration(text);
  if (ms === undefined || ms < (parseDuration(min) ?? 0) || ms > (parseDuration(max) ?? 0)) {
    throw new UsageError(
      `${flag} is "${text}": must be a duration from ${min} to ${max}, such as 500ms, 30s, 5m or 2h`,
    );
  }
  return ms;
}

/** The value of a flag that takes a time; undefined when it was not given. Throws a UsageError. */
export function momentOf(flags: FlagValues, flag: string): Date | undefined {
  const text = flagText(flags, flag);
  if (text === undefined) return undefined;
  return parseMoment(text) ?? refuseMoment(flag, text);
}

/** A time, or a duration from now. */
export function momentAheadOf(flags: FlagValues, flag: string): Date | undefined {
  const text = flagText(flags, flag);
  if (text === undefined) return undefined;
  const ms = parseDuration(text);
  if (ms !== undefined && ms <= yearMs) return new Date(systemClock.now() + ms);
  return parseMoment(text) ?? refuseMoment(flag, text, "a duration of at most 365d from now, such as 10m, or ");
}

/** A time, or a duration before now. */
export function momentAgoOf(flags: FlagValues, flag: string): Date | undefined {
  const text = flagText(flags, flag);
  if (text === undefined) return undefined;
  const ms = parseDuration(text);
  if (ms !== undefined && ms <= yearMs) return new Date(systemClock.now() - ms);
  return parseMoment(text) ?? refuseMoment(flag, text, "a duration of at most 365d ago, such as 10m, or ");
}

/** ISO 8601 with at least a date; without a zone, in the machine's time zone. */
function parseMoment(text: string): Date | undefined {
  const [, day, time = "T00:00", zone = ""] =
    /^(\d{4}-\d\d-\d\d)([T ]\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)?(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? [];
  if (day === undefined) return undefined;
  if (!isInCalendar(day)) return undefined;
  const date = new Date(`${day}${time.replace(" ", "T")}${zone}`);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

/** Refuses dates such as 30 February, which `Date` turns into 2 March. */
function isInCalendar(day: string): boolean {
  const date = new Date(`${day}T00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day);
}

function refuseMoment(flag: string, text: string, or = ""): never {
  throw new UsageError(`${flag} is "${text}": must be ${or}a time such as 2026-01-31T23:59 or 2026-01-31T23:59:00Z`);
}
