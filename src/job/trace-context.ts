/** Reads trace contexts of callers from headers, metadata, and fields of a job. None of them is trusted. */
import { randomUUID } from "node:crypto";
import { noParent, type TraceContext } from "./trace.ts";

/** A trace context as received; absent and empty fields mean the same. */
export type GivenContext = {
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
  readonly baggage?: string | undefined;
};

export type Contexts = {
  /**
   * Combines the first trace and the first baggage among these; null: there are none. Malformed and too long parts are
   * ignored.
   */
  read(...given: readonly (GivenContext | undefined)[]): TraceContext | null;
  /** Number of malformed or too long parts so far, each counted once. */
  dropped(): number;
};

/** Bounds of the W3C recommendations, which allow longer values to be dropped completely. */
export const maxTracestate = 512;
export const maxBaggage = 4096;

/** Version 00, or a later one with further fields. https://www.w3.org/TR/trace-context/#traceparent-header */
const traceparentForm =
  /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.{0,512})?$/;
/** Visible ASCII only: both values are sent in headers again, and are stored as lines. */
const visibleText = /^[\x20-\x7e]*$/;

/** `propagates`: the parts of a context that are read. */
export function createContexts(propagates: { readonly trace: boolean; readonly baggage: boolean }): Contexts {
  let dropped = 0;
  /** Parsed contexts: that of a call is read for each of its messages, but its faults count once. */
  const known = new WeakMap<GivenContext, TraceContext | null>();

  /** Undefined: invalid, too long, or empty. */
  function bounded(text: string | undefined, maxChars: number): string | undefined {
    if (!text) return undefined;
    if (text.length <= maxChars && visibleText.test(text)) return text.trim() || undefined;
    dropped += 1;
    return undefined;
  }

  function parse(given: GivenContext): TraceContext | null {
    const baggage = propagates.baggage ? bounded(given.baggage, maxBaggage) : undefined;
    const form = propagates.trace && given.traceparent ? traceparentForm.exec(given.traceparent) : undefined;
    const isMalformed = form === null || (form?.[1] === "00" && form[5] !== undefined);
    if (isMalformed) dropped += 1;
    if (!form || isMalformed) {
      if (baggage === undefined) return null;
      return { traceparent: `00-${newTraceId()}-${noParent}-00`, baggage };
    }
    const [, , traceId, spanId, flags] = form;
    const tracestate = bounded(given.tracestate, maxTracestate);
    return {
      traceparent: `00-${traceId}-${spanId}-${flags}`,
      ...(tracestate !== undefined && { tracestate }),
      ...(baggage !== undefined && { baggage }),
    };
  }

  function readOne(given: GivenContext): TraceContext | null {
    if (!given.traceparent && !given.baggage) return null;
    const before = known.get(given);
    if (before !== undefined) return before;
    const context = parse(given);
    known.set(given, context);
    return context;
  }

  return {
    read(...given) {
      let [traced, carrying]: (TraceContext | null)[] = [null, null];
      for (const each of given) {
        const context = each ? readOne(each) : null;
        if (context === null) continue;
        if (context.traceparent.slice(36, 52) !== noParent) traced ??= context;
        if (context.baggage !== undefined) carrying ??= context;
      }
      if (!traced || !carrying || traced === carrying) return traced ?? carrying ?? null;
      return { ...traced, baggage: carrying.baggage as string };
    },
    dropped: () => dropped,
  };
}

/** 32 hex digits, nearly all random. */
export function newTraceId(): string {
  return randomUUID().replaceAll("-", "");
}

/** 16 hex digits, nearly all random. */
export function newSpanId(): string {
  const uuid = randomUUID();
  return uuid.slice(0, 8) + uuid.slice(28);
}
