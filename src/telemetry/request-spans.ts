/**
 * The spans of requests: one `submit` per distinct trace context among the jobs of a request, and operations with links
 * to existing jobs.
 */
import type { Clock } from "../clock.ts";
import { type Code, Code as codes, messageOf, MillpondError } from "../errors.ts";
import {
  isSampled,
  jobSpanId,
  noParent,
  storedTrace,
  traceOf,
  traceparentOf,
  type TraceContext,
} from "../job/trace.ts";
import { type Contexts, newSpanId, newTraceId } from "../job/trace-context.ts";
import type { Answer, Caller, Operation, Submission, Tracing } from "../tracing.ts";
import { attributesOfCall, attributesOfOperation } from "./attributes.ts";
import type { SpanSink } from "./job-spans.ts";
import type { Sampler } from "./sampling.ts";
import {
  type Attributes,
  errorOfRefusal,
  exceptionEvent,
  type SpanError,
  type SpanEvent,
  type SpanLink,
} from "./span.ts";

export type RequestSpans = Pick<Tracing, "submission" | "operation">;

/** OpenTelemetry's default limit of links per span. */
const maxLinks = 128;
/** Bound on the distinct reasons of refusal that one span lists. */
const maxReasons = 16;

/** The span of a request for its jobs of one trace context. Without a parent it starts a trace. */
type Root = {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | null;
  readonly context: TraceContext | null;
};

/** A traced root, and the counts of its jobs. */
type Group = Root & {
  readonly stored: string;
  accepted: number;
  duplicates: number;
  readonly refusals: Map<string, { jobs: number; readonly error: SpanError }>;
};

export function createRequestSpans({
  sink,
  sampler,
  contexts,
  clock,
}: {
  sink: SpanSink;
  sampler: Sampler;
  contexts: Contexts;
  clock: Clock;
}): RequestSpans {
  /** Null: the request is not traced. */
  function rootOf(context: TraceContext | null): Root | null {
    const parentId = context?.traceparent.slice(36, 52) ?? noParent;
    const traceId = context?.traceparent.slice(3, 35) ?? newTraceId();
    const isTraced =
      context && parentId !== noParent
        ? sampler.follows(isSampled(context.traceparent), traceId)
        : sampler.begins(traceId);
    if (!isTraced) return null;
    return { traceId, spanId: newSpanId(), parentId: parentId === noParent ? null : parentId, context };
  }

  function give(root: Root, caller: Caller, method: string, name: string, rest: Rest): void {
    const { traceId, spanId, parentId, context } = root;
    sink.add({
      ...{ name, kind: "server", traceId, spanId, parentId, isParentRemote: true, tracestate: context?.tracestate },
      ...rest,
      attributes: { ...attributesOfCall(caller, method), ...rest.attributes },
    });
  }

  function submission(caller: Caller, method: string, own?: TraceContextOfRequest): Submission {
    const startedAt = clock.exactNow();
    /** Keyed by context; the empty key stands for none. A string is stored with jobs that are not traced. */
    const groups = new Map<string, Group | string>();
    let last: { readonly context: TraceContext; readonly group: Group | string } | undefined;
    const members = new Map<number, Group>();
    let jobs = 0;
    let waited: { readonly at: number; ms: number } | undefined;
    let hasEnded = false;
    /** The sampling rate is used up: further jobs without a context are not traced, and the sampler is not called. */
    let areOthersUntraced = false;
    sampler.refresh();

    function groupOf(context: TraceContext): Group | string {
      if (last?.context === context) return last.group;
      const key = `${context.traceparent}\n${context.tracestate}\n${context.baggage}`;
      let group = groups.get(key);
      if (group === undefined) {
        const root = rootOf(context);
        group = root ? groupAt(root, startedAt) : storedTrace(untracedOf(context), null);
        groups.set(key, group);
      }
      last = { context, group };
      return group;
    }

    /** Each job without a caller's context counts against the rate of sampled jobs. */
    function groupOfNone(): Group | null {
      if (areOthersUntraced) return null;
      const known = groups.get("") as Group | undefined;
      const root = known ? null : rootOf(null);
      areOthersUntraced = known ? !sampler.begins(known.traceId) : root === null;
      if (areOthersUntraced) return null;
      const group = known ?? groupAt(root as Root, startedAt);
      groups.set("", group);
      return group;
    }

    function finish(ending: (group: Group) => Rest): void {
      if (hasEnded) return;
      hasEnded = true;
      for (const group of groups.values())
        if (typeof group !== "string" && sink.hasRoom(1)) give(group, caller, method, "submit", ending(group));
    }

    return {
      next(given) {
        const context = contexts.read(given, own, caller.trace);
        const group = context ? groupOf(context) : groupOfNone();
        const index = jobs++;
        if (group === null || typeof group === "string") return group;
        members.set(index, group);
        return group.stored;
      },
      throttled(waitMs) {
        waited ??= { at: clock.exactNow(), ms: 0 };
        waited.ms += waitMs;
      },
      end(answers) {
        for (const [index, group] of members) count(group, answers[index]);
        const endedAt = clock.exactNow();
        finish((group) => endingOf(group, startedAt, endedAt, waited));
      },
      fail(error) {
        const endedAt = clock.exactNow();
        if (groups.size === 0) {
          const context = contexts.read(own, caller.trace);
          if (context) groupOf(context);
          else groupOfNone();
        }
        finish(() => failedWith(error, startedAt, endedAt));
      },
    };
  }

  function operation(caller: Caller, method: string, name: string): Operation {
    const startedAt = clock.exactNow();
    sampler.refresh();
    const root = rootOf(contexts.read(caller.trace));
    const links: SpanLink[] = [];
    let jobs = 0;
    let hasEnded = false;
    const finish = (rest: Rest) => {
      if (hasEnded || !root) return;
      hasEnded = true;
      if (!sink.hasRoom(1)) return;
      give(root, caller, method, name, { ...rest, links, droppedLinks: jobs - links.length });
    };
    return {
      link(linked) {
        if (!root) return;
        jobs += linked.length;
        for (const job of linked.slice(0, maxLinks - links.length)) {
          const trace = traceOf(job);
          links.push({ traceId: trace.traceId, spanId: jobSpanId(job.id), isSampled: trace.isSampled });
        }
      },
      end: () =>
        finish({
          startedAt,
          endedAt: clock.exactNow(),
          attributes: { "rpc.status_code": "OK", "millpond.jobs": jobs },
        }),
      fail: (error) => finish(failedWith(error, startedAt, clock.exactNow())),
    };
  }

  return { submission, operation };
}

type TraceContextOfRequest = Parameters<Contexts["read"]>[0];
type Rest = Omit<Parameters<SpanSink["add"]>[0], "name" | "kind" | "traceId" | "spanId" | "parentId">;

function groupAt(root: Root, acceptedAt: number): Group {
  const { traceId, spanId, context } = root;
  const stored = storedTrace({ ...context, traceparent: traceparentOf(traceId, spanId, true) }, acceptedAt);
  return { ...root, stored, accepted: 0, duplicates: 0, refusals: new Map() };
}

/** The caller's context with its sampled flag cleared, to pass on when the request is not traced here. */
function untracedOf(context: TraceContext): TraceContext {
  return { ...context, traceparent: `${context.traceparent.slice(0, 53)}00` };
}

function count(group: Group, answer: Answer | undefined): void {
  if (answer?.kind === "accepted") group.accepted += 1;
  else if (answer?.kind === "duplicate") group.duplicates += 1;
  else if (answer?.kind === "refused") {
    const known = group.refusals.get(answer.error.reason);
    if (known) known.jobs += 1;
    else if (group.refusals.size < maxReasons)
      group.refusals.set(answer.error.reason, { jobs: 1, error: errorOfRefusal(answer.error) });
  }
}

function endingOf(
  { accepted, duplicates, refusals }: Group,
  startedAt: number,
  endedAt: number,
  waited: { readonly at: number; readonly ms: number } | undefined,
): Rest {
  const all = [...refusals.values()];
  const refused = all.reduce((sum, { jobs }) => sum + jobs, 0);
  const [first] = all;
  // when no job was accepted, the span shows that the request did nothing for this context
  const error = refused > 0 && accepted + duplicates === 0 ? first?.error : undefined;
  const events: SpanEvent[] = all.map(({ jobs, error: { type, message } }) => {
    return {
      name: "refused",
      at: endedAt,
      attributes: { "error.type": type, "millpond.jobs": jobs, "millpond.message": message },
    };
  });
  if (waited) events.unshift({ name: "throttled", at: waited.at, attributes: { "millpond.wait_ms": waited.ms } });
  return {
    ...{ startedAt, endedAt, events, error },
    attributes: {
      ...attributesOfOperation("submit", "receive"),
      "rpc.status_code": "OK",
      "millpond.jobs.accepted": accepted,
      "millpond.jobs.duplicate": duplicates,
      "millpond.jobs.refused": refused,
      ...(error && { "error.type": error.type }),
    },
  };
}

function failedWith(thrown: unknown, startedAt: number, endedAt: number): Rest {
  const error =
    thrown instanceof MillpondError ? errorOfRefusal(thrown) : { type: "internal", message: messageOf(thrown) };
  const attributes: Attributes = {
    "rpc.status_code": nameOf(thrown instanceof MillpondError ? thrown.code : codes.Internal),
    "error.type": error.type,
  };
  return { startedAt, endedAt, attributes, error, events: [exceptionEvent(error, endedAt)] };
}

/** gRPC's spelling of a code, such as `RESOURCE_EXHAUSTED`. */
function nameOf(code: Code): string {
  const [name = "Unknown"] = Object.entries(codes).find(([, each]) => each === code) ?? [];
  return name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
