/**
 * A span for each job, in a program that has registered an OpenTelemetry SDK: from its submit to its end, with the server's
 * spans below it. In other programs nothing is loaded and nothing is sent.
 */
import type * as OpenTelemetry from "@opentelemetry/api";
import type { Context, ContextManager, Span, TextMapPropagator, TracerProvider } from "@opentelemetry/api";
import { create } from "@bufbuild/protobuf";
import { isSampled, traceparentOf } from "../../src/job/trace.ts";
import type { JobSpec, Result, TraceContext } from "../../src/gen/millpond/v1/job_pb.ts";
import { TraceContextSchema } from "../../src/gen/millpond/v1/job_pb.ts";
import { MillpondClientError } from "./error.ts";
import { stateNames } from "./names.ts";

/** How a job ended, as far as its span shows it. */
export type JobEnd = {
  readonly state?: string | undefined;
  /** Absent: it succeeded, or was accepted and its end is not awaited. */
  readonly failure?: { readonly reason: string; readonly message: string } | undefined;
};

/** A job on its way. `end` is safe to repeat: the first counts. */
export type TracedJob = { readonly spec: JobSpec; end(how: JobEnd): void };

export type JobTracer = {
  /** Begins the job's span below the active one, or below the context that the job brings. */
  begin(spec: JobSpec): TracedJob;
};

export type Tracing = {
  /** Undefined, and at once, unless an SDK is registered. Asked in the context that the jobs' spans are to stand in. */
  tracer(): Promise<JobTracer> | undefined;
  /** The active context as metadata of a call. Undefined, and at once, unless an SDK is registered. */
  metadata(): Promise<{ readonly [name: string]: string }> | undefined;
};

type Api = typeof OpenTelemetry;

/** Spans of one client that are open at a time. Jobs beyond have none of their own, and stand below the active span. */
export const maxOpen = 10_000;

/** Where every copy of the OpenTelemetry API keeps what was registered. */
const registry = Symbol.for("opentelemetry.js.api.1");

type Registered = {
  readonly trace: TracerProvider;
  readonly context?: ContextManager;
  readonly propagation?: TextMapPropagator;
};

/**
 * What the program has registered, by whichever version of the API. A copy of the API hands out nothing that an older one
 * registered, and the client's own, which the server's SDK fixes, may be newer than the program's.
 */
function findRegistered(): Registered | undefined {
  const found = (globalThis as { readonly [registry]?: Partial<Registered> })[registry];
  return found?.trace && (found as Registered);
}

export function createTracing(address: string, client: string | undefined): Tracing {
  let loading: Promise<Api> | undefined;
  let open = 0;
  const [, host = address, port = ""] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
  const common = {
    "messaging.system.name": "millpond",
    ...(client !== undefined && { "messaging.client.id": client }),
    "server.address": host,
    ...(port !== "" && { "server.port": Number(port) }),
  };

  function tracerIn(api: Api, registered: Registered): JobTracer {
    const tracer = registered.trace.getTracer("millpond");
    const active = activeIn(api, registered);

    function begin(spec: JobSpec): TracedJob {
      const parent = spec.traceContext ? contextOf(api, spec.traceContext, active) : active;
      if (open >= maxOpen) return untraced(withContext(api, registered, spec, parent));
      const attributes = { ...common, "messaging.message.id": spec.id, "millpond.task": spec.task };
      const span = tracer.startSpan(`${spec.task} job`, { kind: api.SpanKind.CLIENT, attributes }, parent);
      const traced = withContext(api, registered, spec, api.trace.setSpan(parent, span));
      if (!span.isRecording()) return untraced(traced);
      open += 1;
      let hasEnded = false;
      return {
        spec: traced,
        end(how) {
          if (hasEnded) return;
          hasEnded = true;
          open -= 1;
          endSpan(api, span, how);
        },
      };
    }

    return { begin };
  }

  return {
    tracer() {
      const registered = findRegistered();
      if (!registered) return undefined;
      loading ??= import("@opentelemetry/api");
      return loading.then((api) => tracerIn(api, registered));
    },
    metadata() {
      const registered = findRegistered();
      if (!registered) return undefined;
      loading ??= import("@opentelemetry/api");
      return loading.then((api) => textsOf(api, registered, activeIn(api, registered)) ?? {});
    },
  };
}

/** The end of a job that has a result. */
export function endOf(result: Result): JobEnd {
  const state = stateNames.get(result.state);
  if (state === "SUCCEEDED") return { state };
  const unsaid = { reason: String(state).toLowerCase(), message: `the job is ${state}` };
  return { state, failure: result.failure ?? unsaid };
}

/** The end of a job that its client knows no more of. */
export function endOfLost(error: unknown): JobEnd {
  if (error instanceof MillpondClientError) return { failure: error };
  return { failure: { reason: "abandoned", message: error instanceof Error ? error.message : String(error) } };
}

function untraced(spec: JobSpec): TracedJob {
  return { spec, end() {} };
}

function endSpan(api: Api, span: Span, { state, failure }: JobEnd): void {
  if (state !== undefined) span.setAttribute("millpond.state", state);
  if (failure) {
    span.setAttribute("error.type", failure.reason);
    span.setStatus({ code: api.SpanStatusCode.ERROR, message: failure.message });
  }
  span.end();
}

function activeIn(api: Api, { context }: Registered): Context {
  return context?.active() ?? api.ROOT_CONTEXT;
}

/** The job as it is sent: the caller's own object stays as it is, for it may be sent again. */
function withContext(api: Api, registered: Registered, spec: JobSpec, context: Context): JobSpec {
  const texts = textsOf(api, registered, context);
  if (!texts) return spec;
  const baggage = texts.baggage || (spec.traceContext?.baggage ?? "");
  return { ...spec, traceContext: create(TraceContextSchema, { ...texts, baggage }) };
}

/** Undefined: there is no span, and no context to send. */
function textsOf(api: Api, registered: Registered, context: Context) {
  const span = api.trace.getSpanContext(context);
  if (!span || !api.isSpanContextValid(span)) return undefined;
  const traceparent = traceparentOf(span.traceId, span.spanId, (span.traceFlags & api.TraceFlags.SAMPLED) !== 0);
  return { traceparent, tracestate: span.traceState?.serialize() ?? "", baggage: baggageIn(api, registered, context) };
}

/** By the registered propagator: most programs have no baggage. */
function baggageIn(api: Api, { propagation }: Registered, context: Context): string {
  if (!propagation || !api.propagation.getBaggage(context)) return "";
  const carrier: { baggage?: string } = {};
  propagation.inject(context, carrier, api.defaultTextMapSetter);
  return carrier.baggage ?? "";
}

const traceparentForm = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}/;

/** What the job brings in place of the active span; malformed, it is as if there were none. */
function contextOf(api: Api, { traceparent, tracestate }: TraceContext, active: Context): Context {
  const [, traceId, spanId] = traceparentForm.exec(traceparent) ?? [];
  const span = {
    ...{ traceId: traceId ?? "", spanId: spanId ?? "", isRemote: true },
    traceFlags: isSampled(traceparent) ? api.TraceFlags.SAMPLED : api.TraceFlags.NONE,
    ...(tracestate !== "" && { traceState: api.createTraceState(tracestate) }),
  };
  return api.isSpanContextValid(span) ? api.trace.setSpanContext(active, span) : active;
}
