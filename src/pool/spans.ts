/**
 * What `ctx.span` records of one attempt. No SDK runs in a worker: the records go back with the attempt's outcome, and the
 * main thread makes spans of them. Everything that a task hands over is read with care and bounded; none of this throws.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { types } from "node:util";
import { systemClock as clock } from "../clock.ts";
import type { SpanRecord } from "../job/trace.ts";
import type { RecordedSpans } from "./chunk.ts";
import { cut, read, textOf } from "./sanitize.ts";
import { logBegun, logEnded, type SpanLog } from "./span-log.ts";

/** Spans of one attempt. */
export const maxSpans = 128;
const maxNameChars = 100;
const maxErrorChars = 1000;
const maxAttributes = 32;
const maxValueChars = 1000;
/** Names, attributes and errors of one attempt, give or take those of one span. */
const maxChars = 32_768;

/** What stands at a span that ended with its attempt and not by itself. */
export const unfinished = { "millpond.span.unfinished": true } as const;

export type Spans = {
  /**
   * Runs code, records how long it took and whether it failed, and gives what it gives. A promise counts until it settles,
   * and one like it is given. Nothing else with a `then` is touched: a query may run when it is called.
   */
  around<T>(name: unknown, code: () => T, attributes: unknown): T;
  /** The index of the innermost span that the present code belongs to; -1: none. */
  innermost(): number;
  /** The attempt is about to end, and with it every span that is open. From now on nothing is recorded. */
  end(): RecordedSpans;
};

type Attributes = NonNullable<SpanRecord["attributes"]>;
type Recording = { -readonly [key in keyof SpanRecord]: SpanRecord[key] };

/** The span that the running code belongs to, of whichever attempt. */
const present = new AsyncLocalStorage<{ readonly records: readonly Recording[]; readonly index: number }>();

/** `job`: the attempt's place in its chunk. */
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
      // what follows is another promise: this one would count as handled, and its rejection would go unnoticed
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

/** Texts, finite numbers and booleans as they are, anything else as a text. */
function attributesOf(given: unknown): Attributes | undefined {
  if (given === undefined || given === null) return undefined;
  try {
    const names = Object.keys(given).filter((name) => name !== ""); // which OTLP does not allow
    const pairs = names.slice(0, maxAttributes).flatMap((name) => {
      const value = valueOf(read(given, name));
      return value === undefined ? [] : [[cut(name, maxNameChars), value] as const];
    });
    return pairs.length === 0 ? undefined : Object.fromEntries(pairs);
  } catch {
    return undefined; // a proxy that does not name its keys
  }
}

function valueOf(value: unknown): string | number | boolean | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "boolean" || Number.isFinite(value)) return value as boolean | number;
  return textOf(value, maxValueChars);
}
