/** A span as plain data, independent of the SDK. */
import type { MillpondError, Reason } from "../errors.ts";

/** The numbers of OpenTelemetry's SpanKind. */
export const spanKinds = { internal: 0, server: 1, client: 2, producer: 3, consumer: 4 } as const;

export type Attributes = { readonly [name: string]: string | number | boolean };
export type SpanEvent = { readonly name: string; readonly at: number; readonly attributes: Attributes };
export type SpanLink = { readonly traceId: string; readonly spanId: string; readonly isSampled: boolean };

/** Why a span failed. `type` is a stable identifier. */
export type SpanError = { readonly type: string; readonly message: string; readonly stack?: string | undefined };

export type Span = {
  readonly name: string;
  readonly kind: keyof typeof spanKinds;
  readonly traceId: string;
  readonly spanId: string;
  /** Null: the span is the root of its trace. */
  readonly parentId: string | null;
  /** The parent is the caller's. */
  readonly isParentRemote?: boolean;
  readonly tracestate?: string | undefined;
  /** Milliseconds since 1970 with their fraction. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly attributes: Attributes;
  readonly events?: readonly SpanEvent[];
  readonly links?: readonly SpanLink[];
  /** Number of links beyond the bound. */
  readonly droppedLinks?: number;
  /** Absent: the span did not fail. */
  readonly error?: SpanError | undefined;
};

/** Refusals whose message may quote an input. */
const quoting: ReadonlySet<Reason> = new Set(["invalid_argument", "malformed_request", "key_exists"]);
const maxFields = 4;

/** The error of a refused request. Quotes no payload: for a malformed request it only names the fields. */
export function errorOfRefusal({ reason, message, violations }: MillpondError): SpanError {
  if (!quoting.has(reason)) return { type: reason, message };
  const fields = [...new Set(violations.map(({ field }) => ownPart(field)))].slice(0, maxFields);
  const which = fields.length === 0 ? "" : `${fields.join(", ")}: `;
  return { type: reason, message: `${which}the response to the client has the details` };
}

/** The part of a field's path that comes from the protocol: `jobs[2].input`, without the keys of the input. */
function ownPart(field: string): string {
  return /^\w+(?:\[\d+\])?(?:\.\w+)?/.exec(field)?.[0] ?? "";
}

/** An event that follows OpenTelemetry's conventions for exceptions, at the end of the span. */
export function exceptionEvent({ type, message, stack }: SpanError, at: number): SpanEvent {
  const trace = stack === undefined ? {} : { "exception.stacktrace": stack };
  return { name: "exception", at, attributes: { "exception.type": type, "exception.message": message, ...trace } };
}
