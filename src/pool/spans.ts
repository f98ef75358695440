/**
 * Records the spans of one attempt's `ctx.span`. No SDK runs in a worker: the records are sent with the attempt's
 * outcome, and the main thread creates spans from them. All values from tasks are read defensively and bounded; none of
 * this throws.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { types } from "node:util";
import { systemClock as clock } from "../clock.ts";
import type { SpanRecord } from "../job/trace.ts";
import type { RecordedSpans } from "./chunk.ts";
import { cut, read, textOf } from "./sanitize.ts";
import { logBegun, logEnded, type SpanLog } from "./span-log.ts";

/** Bound on the spans of one attempt. */
export const maxSpans = 128;
const maxNameChars = 100;
const maxErrorChars = 1000;
const maxAttributes = 32;
const maxValueChars = 1000;
/** Approximate bound on the characters of names, attributes and errors of one attempt; may be exceeded by one span. */
const maxChars = 32_768;

/** Attribute of a span that did not end before its attempt. */
export const unfinished = { "millpond.span.unfinished": true } as const;

export type Spans = {
  /**
   * Runs code, records its duration and error, and returns its result. A returned promise is measured until it settles,
   * and an equivalent one is returned. Other thenables are not touched, because calling `then` may run a query.
   */
  around<T>(name: unknown, code: () => T, attributes: unknown): T;
  /** The index of the innermost span around the running code; -1: none. */
  innermost(): number;
  /** Ends all open spans, because the attempt ends, and returns the records. Nothing is recorded afterwards. */
  end(): RecordedSpans;
};

type Attributes = NonNullable<SpanRecord["attributes"]>;
type Recording = { -readonly [key in keyof SpanRecord]: SpanRecord[key] };

/** The span around the running code, of any attempt. */
const present = new AsyncLocalStorage<{ readonly records: readonly Recording[]; readonly index: number }>();

/**
 * `job`: the attempt's index in its chunk.
 */
export function createSpans(log: SpanLog, job: number): Spans {
  const records: Recording[] = [];
  /** The attributes of spans that are open. */
  const open = new Map<number, unknown>();
  let left = maxChars;
  let begun = 0;
  let hasEnded = false;

  function innermost(): number {
    const span = present.getStore();
    return span?.records === records ? span.index : -1; // code may run in the context of another attempt
  }

  /** Undefined: beyond the bounds. */
  function begin(name: unknown, attributes: unknown): number | undefined {
    const index = begun;
    begun += 1;
    if (records.length >= maxSpans || left <= 0) {
      logBegun(log, job, index);
      return undefined;
    }
    const record = { name: nameOf(name), parent: innermost(), startedAt: clock.exactNow(), endedAt: 0 };
    left -= record.name.length;
    open.set(index, attributes);
    records.push(record);
    logBegun(log, job, index, record);
    return index;
  }

  function finish(index: number, endedAt: number): void {
    const record = records[index] as Recording;
    const attributes = attributesOf(open.get(index));
    open.delete(index);
    record.endedAt = endedAt;
    if (!attributes) return;
    record.attributes = attributes;
    for (const name in attributes) left -= name.length + String(attributes[name]).length;
  }

  function succeeded(index: number): void {
    if (hasEnded) return;
    const endedAt = clock.exactNow();
    logEnded(log, index, endedAt);
    finish(index, endedAt);
  }

  function failed(index: number, error: unknown): void {
    if (hasEnded) return;
    succeeded(index);
    const text = textOf(error, maxErrorChars);
    left -= text.length;
    (records[index] as Recording).error = text;
  }

  function follow<T>(index: number, code: () => T): T {
    try {
      const given = code();
      if (!types.isPromise(given)) {
        succeeded(index);
        return given;
      }
      // returns the derived promise: the original counts as handled, so its rejection would otherwise go unnoticed
      const followed = given.then(
        (value) => {
          succeeded(index);
          return value;
        },
        (error: unknown) => {
          failed(index, error);
          throw error;
        },
      );
      // such as `child` of a promisified `execFile`
      for (const key of Object.keys(given)) {
        void Object.defineProperty(followed, key, Object.getOwnPropertyDescriptor(given, key) as PropertyDescriptor);
      }
      return followed as T;
    } catch (error) {
      failed(index, error);
      throw error;
    }
  }

  return {
    around(name, code, attributes) {
      const index = hasEnded ? undefined : begin(name, attributes);
      return index === undefined ? code() : present.run({ records, index }, follow, index, code);
    },
    innermost,
    end() {
      const endedAt = clock.exactNow();
      for (const index of [...open.keys()]) {
        finish(index, endedAt);
        const record = records[index] as Recording;
        record.attributes = { ...record.attributes, ...unfinished };
      }
      hasEnded = true;
      return { records, dropped: begun - records.length };
    },
  };
}

function nameOf(name: unknown): string {
  return (typeof name === "string" ? cut(name, maxNameChars) : textOf(name, maxNameChars)) || "span";
}

/** Keeps strings, finite numbers and booleans, and converts anything else to a string. */
function attributesOf(given: unknown): Attributes | undefined {
  if (given === undefined || given === null) return undefined;
  try {
    const names = Object.keys(given).filter((name) => name !== ""); // OTLP does not allow empty names
    const pairs = names.slice(0, maxAttributes).flatMap((name) => {
      const value = valueOf(read(given, name));
      return value === undefined ? [] : [[cut(name, maxNameChars), value] as const];
    });
    return pairs.length === 0 ? undefined : Object.fromEntries(pairs);
  } catch {
    return undefined; // a proxy whose keys cannot be listed
  }
}

function valueOf(value: unknown): string | number | boolean | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "boolean" || Number.isFinite(value)) return value as boolean | number;
  return textOf(value, maxValueChars);
}
