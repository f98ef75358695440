/** What every front end provides about a call, whatever the protocol. */
import { invalid, refusal } from "../errors.ts";
import type { GivenContext } from "../job/trace-context.ts";
import type { Caller } from "../tracing.ts";

/** The caller of an RPC, its deadline and its cancellation. */
export type CallContext = Caller & {
  /** Aborts when the caller is gone, cancels, or its deadline has passed. */
  readonly signal: AbortSignal;
  /** When the caller's deadline passes, in milliseconds since 1970. Null: it has none. */
  readonly deadlineAt: number | null;
};

/** Metadata that names the client while no authentication is configured. */
export const clientKey = "millpond-client";
export const anonymous = "anonymous";
/** Metadata with the caller's context, by W3C Trace Context and W3C Baggage. */
export const traceKeys = ["traceparent", "tracestate", "baggage"] as const;

const clientName = /^[A-Za-z0-9._@-]{1,100}$/;

/** The client's name from its metadata; refused when it is not a name. */
export function parseClient(value: string | null | undefined): string {
  if (!value) return anonymous;
  if (clientName.test(value)) return value;
  const description = `"${value.slice(0, 100)}" is not 1 to 100 characters of [A-Za-z0-9._@-]`;
  throw invalid([{ field: `metadata ${clientKey}`, description }]);
}

/** The caller's trace context, unchecked; malformed parts are dropped where it is used. */
export function traceOfCall(value: (key: string) => string | null | undefined): GivenContext {
  const [traceparent, tracestate, baggage] = traceKeys.map((key) => value(key) ?? undefined);
  return { traceparent, tracestate, baggage };
}

/** Refuses metadata over `limit` bytes, counted as in HTTP/2: name, value and 32 bytes per entry. */
export function checkMetadata(
  entries: Iterable<readonly [string, string | { readonly length: number }]>,
  limit: number,
): void {
  let size = 0;
  for (const [key, value] of entries) size += key.length + value.length + 32;
  if (size > limit) throw refusal("metadata_too_large", [size, limit]);
}

/** The last moment that a `google.protobuf.Timestamp` can hold: the end of the year 9999. */
const lastMoment = 253_402_300_799_999;

/** When a caller's deadline passes, for `CallContext`. Null when it has none, or one beyond the range of timestamps. */
export function parseDeadline(at: Date | number | undefined): number | null {
  const ms = Number(at);
  return ms <= lastMoment ? ms : null;
}
