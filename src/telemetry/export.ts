/**
 * Exports plain spans to collectors. The only file that imports the tracing SDK and its exporters; loaded only when
 * traces are exported.
 */
import type { Link, SpanContext, TraceState } from "@opentelemetry/api";
import { ExportResultCode } from "@opentelemetry/core";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  BatchSpanProcessor,
  ConsoleSpanExporter,
  type ReadableSpan,
  SamplingDecision,
  type SpanExporter,
  TraceIdRatioBasedSampler,
} from "@opentelemetry/sdk-trace";
import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { within } from "../lifecycle.ts";
import type { TracingNumbers } from "../tracing.ts";
import type { SpanSink } from "./job-spans.ts";
import { createThrottle } from "./throttle.ts";
import { type Attributes, type Span, spanKinds } from "./span.ts";
import type { TraceSettings } from "./variables.ts";

export type Export = SpanSink & {
  numbers(): Omit<TracingNumbers, "droppedContexts">;
  /** Exports the queued spans for at most 3 s. Spans that are left then are lost, and counted. */
  stop(): Promise<void>;
};

export type ExportParts = {
  readonly settings: TraceSettings;
  /** Describes this server. */
  readonly resource: Attributes;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
};

const longestFlushMs = 3_000;

export async function openExport({ settings, resource, version, clock, log }: ExportParts): Promise<Export> {
  const { maxQueued, maxBatch, batchDelayMs, exportTimeoutMs, collector } = settings;
  const throttle = createThrottle(clock);
  let [exported, dropped] = [0, 0];

  function drop(spans: number, why: string): void {
    dropped += spans;
    throttle(() => log.warn({ dropped, collector, why }, "spans are dropped"));
  }

  /** Counts spans itself: the SDK's processor drops those over its bound silently, and prints each failed export. */
  function createQueue(exporter: SpanExporter): Queue {
    let waiting = 0;
    const counted: SpanExporter = {
      export(spans, done) {
        exportTo(exporter, spans, (error) => {
          waiting -= spans.length;
          if (error) drop(spans.length, `the collector is unreachable, slow, or refuses them: ${messageOf(error)}`);
          else exported += spans.length;
          done({ code: ExportResultCode.SUCCESS });
        });
      },
      shutdown: () => exporter.shutdown(),
    };
    const processor = new BatchSpanProcessor({
      exporter: counted,
      ...{ maxQueueSize: maxQueued, maxExportBatchSize: maxBatch },
      ...{ scheduledDelayMillis: batchDelayMs, exportTimeoutMillis: exportTimeoutMs },
    });
    return {
      waiting: () => waiting,
      add(span) {
        waiting += 1;
        processor.onEnd(span);
      },
      flush: () => processor.shutdown(),
    };
  }

  const exporters = await Promise.all(settings.exporters.map((name) => openExporter(name, settings)));
  const queues = exporters.map(createQueue);
  const waiting = () => Math.max(...queues.map((queue) => queue.waiting()));
  const toReadable = createReadable(resource, version);

  return {
    hasRoom(spans) {
      const before = waiting();
      if (before + spans <= maxQueued) return true;
      drop(spans, `${before} wait for the collector, and the limit is ${maxQueued} (OTEL_BSP_MAX_QUEUE_SIZE)`);
      return false;
    },
    add(span) {
      const readable = toReadable(span);
      for (const queue of queues) queue.add(readable);
    },
    numbers: () => ({ exported, dropped, waiting: waiting() }),
    async stop() {
      await within(clock, longestFlushMs, Promise.allSettled(queues.map((queue) => queue.flush())));
      const lost = waiting();
      if (lost > 0)
        log.warn({ spans: lost, collector }, "spans were lost at shutdown: the collector did not accept them in time");
    },
  };
}

/** The queue of one exporter. */
type Queue = {
  /** Spans, including those being exported. */
  waiting(): number;
  add(span: ReadableSpan): void;
  flush(): Promise<void>;
};

/** An export that throws has failed. */
function exportTo(exporter: SpanExporter, spans: ReadableSpan[], done: (error?: unknown) => void): void {
  try {
    exporter.export(spans, ({ code, error }) =>
      done(code === ExportResultCode.SUCCESS ? undefined : (error ?? new Error("the exporter gave no reason"))),
    );
  } catch (error) {
    done(error);
  }
}

/** The exporters read endpoint, headers, timeouts and certificates from the environment themselves. */
export async function openExporter(
  name: "otlp" | "console",
  { protocol, maxQueued, maxBatch }: Pick<TraceSettings, "protocol" | "maxQueued" | "maxBatch">,
): Promise<SpanExporter> {
  if (name === "console") return new ConsoleSpanExporter();
  // a stop sends all batches at once, and an exporter refuses those over its limit (30 by default)
  const options = { concurrencyLimit: Math.ceil(maxQueued / maxBatch) + 1 };
  switch (protocol) {
    case "grpc":
      return new (await import("@opentelemetry/exporter-trace-otlp-grpc")).OTLPTraceExporter(options);
    case "http/protobuf":
      return new (await import("@opentelemetry/exporter-trace-otlp-proto")).OTLPTraceExporter(options);
    case "http/json":
      return new (await import("@opentelemetry/exporter-trace-otlp-http")).OTLPTraceExporter(options);
  }
}

/** Whether a trace falls into this ratio, by the same rule as the other OpenTelemetry SDKs for JavaScript. */
export function createRatio(ratio: number): (traceId: string) => boolean {
  const sampler = new TraceIdRatioBasedSampler(ratio);
  return (traceId) => sampler.shouldSample(undefined, traceId).decision !== SamplingDecision.NOT_RECORD;
}

const sampled = 1;

function createReadable(attributes: Attributes, version: string): (span: Span) => ReadableSpan {
  const resource = resourceFromAttributes(attributes);
  const instrumentationScope = { name: "millpond", version };
  return (span) => {
    const { name, traceId, spanId, parentId, error, links = [] } = span;
    const context: SpanContext = { traceId, spanId, traceFlags: sampled };
    if (span.tracestate !== undefined) context.traceState = stateOf(span.tracestate);
    const startTime = timeOf(span.startedAt);
    const endTime = timeOf(Math.max(span.endedAt, span.startedAt));
    return {
      name,
      kind: spanKinds[span.kind],
      spanContext: () => context,
      ...(parentId !== null && {
        parentSpanContext: { traceId, spanId: parentId, traceFlags: sampled, isRemote: span.isParentRemote === true },
      }),
      startTime,
      endTime,
      duration: timeOf(Math.max(span.endedAt - span.startedAt, 0)),
      status: error ? { code: 2, message: error.message } : { code: 0 },
      attributes: span.attributes,
      links: links.map(toLink),
      events: (span.events ?? []).map((event) => ({ ...event, time: timeOf(event.at) })),
      ended: true,
      ...{ resource, instrumentationScope, droppedAttributesCount: 0, droppedEventsCount: 0 },
      droppedLinksCount: span.droppedLinks ?? 0,
    };
  };
}

function toLink({ traceId, spanId, isSampled }: NonNullable<Span["links"]>[number]): Link {
  return { context: { traceId, spanId, traceFlags: isSampled ? sampled : 0 } };
}

/** Seconds and nanoseconds, because a float cannot hold nanoseconds since 1970 exactly. */
function timeOf(ms: number): [seconds: number, nanos: number] {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.min(Math.round((ms - seconds * 1_000) * 1_000) * 1_000, 999_999_000)];
}

/** A tracestate that is only passed on: its entries are never read. */
function stateOf(text: string): TraceState {
  const state: TraceState = { get: () => undefined, set: () => state, unset: () => state, serialize: () => text };
  return state;
}
