/** From plain spans to collectors: the only file that knows the SDK and the exporters, and loaded only when traces are exported. */
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
import { createSignal } from "../lifecycle.ts";
import type { TracingNumbers } from "../tracing.ts";
import type { SpanSink } from "./job-spans.ts";
import { createSeldom } from "./seldom.ts";
import { type Attributes, type Span, spanKinds } from "./span.ts";
import type { TraceSettings } from "./variables.ts";

export type Export = SpanSink & {
  numbers(): Omit<TracingNumbers, "droppedContexts">;
  /** Hands over what waits, for 3 s at most: what is left then is lost, and counted. */
  stop(): Promise<void>;
};

export type ExportParts = {
  readonly settings: TraceSettings;
  /** Who reports. */
  readonly resource: Attributes;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
};

const longestFlushMs = 3_000;

export async function openExport({ settings, resource, version, clock, log }: ExportParts): Promise<Export> {
  const { maxQueued, maxBatch, batchDelayMs, exportTimeoutMs } = settings;
  const seldom = createSeldom(clock);
  let [exported, dropped, waiting] = [0, 0, 0];

  function drop(spans: number, why: string): void {
    dropped += spans;
    seldom(() => log.warn({ dropped, why }, "spans are dropped: the collector is away, slow, or refuses them"));
  }

  /** The processor would drop in silence what is over its bound, and shout about exports that fail. */
  const counted = (exporter: SpanExporter): SpanExporter => ({
    export(spans, done) {
      exporter.export(spans, ({ code, error }) => {
        waiting -= spans.length;
        if (code !== ExportResultCode.SUCCESS) drop(spans.length, error ? messageOf(error) : "the export failed");
        else exported += spans.length;
        done({ code: ExportResultCode.SUCCESS });
      });
    },
    shutdown: () => exporter.shutdown(),
  });

  const exporters = await Promise.all(settings.exporters.map((name) => openExporter(name, settings.protocol)));
  const processors = exporters.map(
    (exporter) =>
      new BatchSpanProcessor({
        exporter: counted(exporter),
        ...{ maxQueueSize: maxQueued, maxExportBatchSize: maxBatch },
        ...{ scheduledDelayMillis: batchDelayMs, exportTimeoutMillis: exportTimeoutMs },
      }),
  );
  const toReadable = createReadable(resource, version);

  return {
    hasRoom(spans) {
      if (waiting < maxQueued) return true;
      drop(spans, `${maxQueued} spans wait (OTEL_BSP_MAX_QUEUE_SIZE)`);
      return false;
    },
    give(span) {
      const readable = toReadable(span);
      for (const processor of processors) {
        waiting += 1;
        processor.onEnd(readable);
      }
    },
    numbers: () => ({ exported, dropped, waiting }),
    async stop() {
      const over = createSignal();
      const cancel = clock.after(longestFlushMs, over.fire);
      const flushed = Promise.allSettled(processors.map((processor) => processor.shutdown()));
      await Promise.race([flushed, over.promise]);
      cancel();
      if (waiting > 0)
        log.warn({ spans: waiting }, "spans were lost at the end: the collector did not take them in time");
    },
  };
}

/** The exporters read endpoint, headers, timeouts and certificates from the environment themselves. */
export async function openExporter(
  name: "otlp" | "console",
  protocol: TraceSettings["protocol"],
): Promise<SpanExporter> {
  if (name === "console") return new ConsoleSpanExporter();
  switch (protocol) {
    case "grpc":
      return new (await import("@opentelemetry/exporter-trace-otlp-grpc")).OTLPTraceExporter();
    case "http/protobuf":
      return new (await import("@opentelemetry/exporter-trace-otlp-proto")).OTLPTraceExporter();
    case "http/json":
      return new (await import("@opentelemetry/exporter-trace-otlp-http")).OTLPTraceExporter();
  }
}

/** Whether a trace is among those of this ratio, as every SDK of this language finds it. */
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

/** Seconds and nanoseconds: exact, which a float of nanoseconds since 1970 is not. */
function timeOf(ms: number): [seconds: number, nanos: number] {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.min(Math.round((ms - seconds * 1_000) * 1_000) * 1_000, 999_999_000)];
}

/** Handed on as it came; nothing here looks into it. */
function stateOf(text: string): TraceState {
  const state: TraceState = { get: () => undefined, set: () => state, unset: () => state, serialize: () => text };
  return state;
}
