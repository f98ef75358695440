/**
 * Metrics in Prometheus's format: the text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/).
 * Names follow OpenTelemetry's rule
 * (https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/).
 */
import type { Attributes, Collected, HistogramPoint, NumberPoint } from "./registry.ts";
import type { Metric } from "./table.ts";

export const prometheusContentType = "text/plain; version=0.0.4; charset=utf-8";

export function toPrometheus(collected: readonly Collected[]): string {
  const lines: string[] = [];
  for (const metric of collected) {
    if (metric.points.length === 0) continue;
    const name = prometheusName(metric);
    lines.push(`# HELP ${name} ${escapeHelp(metric.description)}`, `# TYPE ${name} ${metric.kind}`);
    for (const point of metric.points) {
      if ("value" in point) lines.push(numberLine(name, point));
      else histogramLines(lines, name, metric.bounds, point);
    }
  }
  return `${lines.join("\n")}\n`;
}

const unitNames: { readonly [unit: string]: string } = { s: "seconds", By: "bytes" };

/** `millpond.queue.wait` in seconds is `millpond_queue_wait_seconds`; counters end in `_total`. */
export function prometheusName({ name, unit, kind }: Pick<Metric, "name" | "unit" | "kind">): string {
  const isRatio = unit === "1" && kind === "gauge";
  const unitName = isRatio ? "ratio" : unitNames[unit];
  return [plainName(name), ...(unitName ? [unitName] : []), ...(kind === "counter" ? ["total"] : [])].join("_");
}

function plainName(name: string): string {
  return name.replace(/[^A-Za-z0-9_]/g, "_");
}

function numberLine(name: string, { attributes, value }: NumberPoint): string {
  const labels = labelsOf(attributes);
  const own = labels === "" ? "" : `{${labels}}`;
  return `${name}${own} ${Number.isFinite(value) ? value : special(value)}`;
}

function special(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  return value > 0 ? "+Inf" : "-Inf";
}

function histogramLines(lines: string[], name: string, bounds: readonly number[], point: HistogramPoint): void {
  const labels = labelsOf(point.attributes);
  const before = labels === "" ? "" : `${labels},`;
  const own = labels === "" ? "" : `{${labels}}`;
  let total = 0;
  for (let bucket = 0; bucket < bounds.length; bucket += 1) {
    total += point.counts[bucket]!;
    lines.push(`${name}_bucket{${before}le="${bounds[bucket]}"} ${total}`);
  }
  lines.push(`${name}_bucket{${before}le="+Inf"} ${point.count}`);
  lines.push(`${name}_sum${own} ${point.sum}`, `${name}_count${own} ${point.count}`);
}

/**
 * Caches label strings: a series of a counter or a histogram keeps one attributes object for its lifetime; observed
 * series bring a new one each time.
 */
const known = new WeakMap<Attributes, string>();

function labelsOf(attributes: Attributes): string {
  let labels = known.get(attributes);
  if (labels === undefined) {
    labels = Object.entries(attributes)
      .map(([name, value]) => `${plainName(name)}="${escapeLabel(value)}"`)
      .join(",");
    known.set(attributes, labels);
  }
  return labels;
}

const escapeHelp = (text: string) => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
const escapeLabel = (text: string) => escapeHelp(text).replaceAll('"', '\\"');
