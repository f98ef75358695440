/** Pushes the metrics to collectors. The only file that imports the metrics SDK; loaded only when they are pushed. */
import { ValueType } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  ConsoleMetricExporter,
  DataPointType,
  type MetricData,
  type MetricProducer,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
} from "@opentelemetry/sdk-metrics";
import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { within } from "../lifecycle.ts";
import type { Log } from "../log.ts";
import type { Collected, HistogramPoint, NumberPoint, Registry } from "../metrics/registry.ts";
import { type Reporter, resourceOf } from "./resource.ts";
import { createThrottle } from "./throttle.ts";
import type { MetricSettings } from "./variables.ts";

export type MetricPushParts = Reporter & {
  readonly registry: Registry;
  /** Describes this server, as read from the environment. */
  readonly resource: { readonly [name: string]: string };
  readonly clock: Clock;
  readonly log: Log;
};

/** How long the last push may take. */
const longestFlushMs = 3_000;
/** An exporter's result code for success. */
const succeeded = 0;
/** Status codes of a collector without a metrics service: HTTP 404 and gRPC UNIMPLEMENTED. */
const unsupportedCodes: ReadonlySet<unknown> = new Set([404, 12]);

export async function openMetricExport(settings: MetricSettings, parts: MetricPushParts): Promise<() => Promise<void>> {
  const { clock, log } = parts;
  const producer = createProducer(parts);
  const exporters = await Promise.all(settings.exporters.map((name) => openExporter(name, settings.protocol)));
  const readers = exporters.map((exporter) => {
    const reader = new PeriodicExportingMetricReader({
      exporter: countFailures(exporter, parts),
      exportIntervalMillis: settings.intervalMs,
      exportTimeoutMillis: settings.exportTimeoutMs,
    });
    reader.setMetricProducer(producer);
    return reader;
  });

  return async () => {
    const flushed = Promise.allSettled(readers.map((reader) => reader.shutdown()));
    if (!(await within(clock, longestFlushMs, flushed)))
      log.warn({}, "the last push of metrics was given up: the collector did not accept it in time");
  };
}

/** The exporters read endpoint, headers, timeouts and certificates from the environment themselves. */
async function openExporter(
  name: MetricSettings["exporters"][number],
  protocol: MetricSettings["protocol"],
): Promise<PushMetricExporter> {
  if (name === "console") return new ConsoleMetricExporter();
  switch (protocol) {
    case "grpc":
      return new (await import("@opentelemetry/exporter-metrics-otlp-grpc")).OTLPMetricExporter();
    case "http/protobuf":
      return new (await import("@opentelemetry/exporter-metrics-otlp-proto")).OTLPMetricExporter();
    case "http/json":
      return new (await import("@opentelemetry/exporter-metrics-otlp-http")).OTLPMetricExporter();
  }
}

function countFailures(
  exporter: PushMetricExporter,
  { registry, clock, log }: { readonly registry: Registry; readonly clock: Clock; readonly log: Log },
): PushMetricExporter {
  const failures = registry.counter("millpond.metric.failed_exports");
  const throttle = createThrottle(clock);
  let hasLoggedWhy = false;

  function complain(error: Error | undefined): void {
    if (unsupportedCodes.has((error as { readonly code?: unknown } | undefined)?.code)) {
      const what = "the collector has no service for metrics: set OTEL_METRICS_EXPORTER=none to push none";
      if (!hasLoggedWhy) log.info({}, what);
      hasLoggedWhy = true;
    } else {
      const facts = { failed: failures.value, error: error && messageOf(error) };
      throttle(() => log.warn(facts, "the collector does not accept metrics"));
    }
  }

  return {
    selectAggregationTemporality: () => AggregationTemporality.CUMULATIVE,
    export(metrics, done) {
      exporter.export(metrics, ({ code, error }: { readonly code: number; readonly error?: Error }) => {
        if (code !== succeeded) {
          failures.value += 1;
          complain(error);
        }
        done({ code: succeeded }); // failures are counted and logged here, not by the reader
      });
    },
    forceFlush: () => exporter.forceFlush(),
    shutdown: () => exporter.shutdown(),
  };
}

function createProducer(parts: MetricPushParts): MetricProducer {
  const { registry, clock, version } = parts;
  const startTime = timeOf(registry.startedAt);
  const scope = { name: "millpond", version };
  const reports = resourceFromAttributes({ ...resourceOf(parts), ...parts.resource });
  return {
    async collect() {
      const collected = await registry.collect();
      const endTime = timeOf(clock.now());
      const metrics = collected
        .filter(({ points }) => points.length > 0)
        .map((metric) => toMetricData(metric, startTime, endTime));
      return { resourceMetrics: { resource: reports, scopeMetrics: [{ scope, metrics }] }, errors: [] };
    },
  };
}

type Time = [seconds: number, nanos: number];

function toMetricData(metric: Collected, startTime: Time, endTime: Time): MetricData {
  const { name, description, unit, kind, bounds } = metric;
  const isWhole = unit !== "s" && unit !== "1";
  const head = {
    descriptor: { name, description, unit, valueType: isWhole ? ValueType.INT : ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  const at = { startTime, endTime };
  switch (kind) {
    case "histogram":
      return {
        ...head,
        dataPointType: DataPointType.HISTOGRAM,
        dataPoints: (metric.points as readonly HistogramPoint[]).map(({ attributes, counts, sum, count }) => ({
          ...{ ...at, attributes: { ...attributes } },
          value: { buckets: { boundaries: [...bounds], counts: [...counts] }, sum, count },
        })),
      };
    case "counter":
      return { ...head, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints: numbers(metric, at) };
    case "gauge":
      return { ...head, dataPointType: DataPointType.GAUGE, dataPoints: numbers(metric, at) };
  }
}

function numbers({ points }: Collected, at: { readonly startTime: Time; readonly endTime: Time }) {
  return (points as readonly NumberPoint[]).map(({ attributes, value }) => ({
    ...at,
    attributes: { ...attributes },
    value,
  }));
}

function timeOf(ms: number): Time {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, (ms - seconds * 1_000) * 1_000_000];
}
