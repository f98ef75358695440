/**
 * The trace that a job belongs to, by W3C Trace Context (https://www.w3.org/TR/trace-context/) and W3C Baggage.
 *
 * The ids of a job's spans are derived from the job's id and the fence of its lease. So they need not be passed around:
 * the main thread, which creates the spans, the worker, which propagates the attempt's span to other services, and the
 * next process after a crash all compute the same ids.
 */

/** A trace context under the names of the headers that carry it: `fetch(url, { headers: { ...context } })`. */
export type TraceContext = {
  /** Version, trace id, span id and flags, such as `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`. */
  readonly traceparent: string;
  /** Data of tracing systems, at most 512 characters. */
  readonly tracestate?: string;
  /** The caller's own key-value pairs, at most 4096 characters. */
  readonly baggage?: string;
};

/** A span that a task recorded within its attempt. Times are milliseconds since 1970 with their fraction. */
export type SpanRecord = {
  readonly name: string;
  /** Index of the parent span, which precedes it in the same list; -1: the attempt. */
  readonly parent: number;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly attributes?: { readonly [name: string]: string | number | boolean };
  /** The error that it threw, in one sentence; absent: it succeeded. */
  readonly error?: string;
};

export type JobTrace = {
  /** 32 hex digits. */
  readonly traceId: string;
  /** The parent of the job's span, 16 hex digits; null: the job is the root of its trace. */
  readonly parentId: string | null;
  readonly isSampled: boolean;
  readonly tracestate?: string;
  readonly baggage?: string;
  /** When the job was accepted, in milliseconds since 1970 with their fraction; null: only `submittedAt` is known. */
  readonly acceptedAt: number | null;
};

/**
 * The stored form: lines of `traceparent`, `tracestate`, `baggage` and time of acceptance, without empty lines at the
 * end.
 */
export function storedTrace({ traceparent, tracestate, baggage }: TraceContext, acceptedAt: number | null): string {
  const lines = [traceparent, tracestate ?? "", baggage ?? "", acceptedAt === null ? "" : acceptedAt.toFixed(3)];
  return lines.join("\n").trimEnd();
}

/** A job that was submitted without a context has an unsampled trace of its own, whose id is derived from the job's. */
export function traceOf(job: { readonly id: string; readonly trace: string | null }): JobTrace {
  if (job.trace === null) return { traceId: hexOf(job.id), parentId: null, isSampled: false, acceptedAt: null };
  const [traceparent = "", tracestate, baggage, acceptedAt] = job.trace.split("\n");
  const parentId = traceparent.slice(36, 52);
  return {
    traceId: traceparent.slice(3, 35),
    parentId: parentId === noParent ? null : parentId,
    isSampled: isSampled(job.trace),
    ...(tracestate && { tracestate }),
    ...(baggage && { baggage }),
    acceptedAt: acceptedAt ? Number(acceptedAt) : null,
  };
}

/** Placeholder for the parent in a context that only has baggage. */
export const noParent = "0".repeat(16);

/** Reads the lowest bit of a `traceparent`'s flags, its last two digits. Cheap, because it is called for every job. */
export function isSampled(trace: string | null): boolean {
  return trace !== null && (hexDigits.indexOf(trace.charAt(54)) & 1) === 1;
}

/** The span of the job, the parent of its waits and attempts. */
export function jobSpanId(jobId: string): string {
  const hex = hexOf(jobId);
  return mixed(hex.slice(0, 16), hex.slice(16));
}

/** `fence`: that of the attempt's lease. Unlike the attempt's number, it is unique even after a redrive. */
export function attemptSpanId(jobId: string, fence: number): string {
  return childSpanId(jobSpanId(jobId), fence);
}

/** A child of a span, distinguished from its siblings by a number. */
export function childSpanId(parentId: string, number: number): string {
  return mixed(parentId, number.toString(16).padStart(16, "0"));
}

export function traceparentOf(traceId: string, spanId: string, sampled: boolean): string {
  return `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`;
}

const hexDigits = "0123456789abcdef";

function hexOf(uuid: string): string {
  return uuid.replaceAll("-", "");
}

/** Hashes two numbers of 16 hex digits to one. Never zero, which is not a valid span id. */
function mixed(a: string, b: string): string {
  const high = spread(half(a, 0) ^ spread(half(b, 0)) ^ Math.imul(half(b, 8), 0x9e3779b1));
  const low = spread(half(a, 8) ^ spread(half(b, 8) ^ high));
  return hex8(high) + hex8(low === 0 && high === 0 ? 1 : low);
}

function half(hex: string, from: 0 | 8): number {
  return Number.parseInt(hex.slice(from, from + 8), 16) | 0;
}

function hex8(number: number): string {
  return (number >>> 0).toString(16).padStart(8, "0");
}

/** The finalizer of MurmurHash3: each bit of the input affects about half of the result's bits. */
function spread(number: number): number {
  let mixing = Math.imul(number ^ (number >>> 16), 0x85ebca6b);
  mixing = Math.imul(mixing ^ (mixing >>> 13), 0xc2b2ae35);
  return mixing ^ (mixing >>> 16);
}
