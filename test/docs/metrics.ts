/**
 * Writes docs/metrics.md from the table of metrics:
 *
 *     node test/docs/metrics.ts > docs/metrics.md
 */
import { prometheusName } from "../../src/metrics/prometheus.ts";
import { type Metric, metrics } from "../../src/metrics/table.ts";

const groups = [
  ["Jobs", /^millpond\.(?:jobs?|retries|attempts?)\b/],
  ["Queues and workers", /^millpond\.(?:queue|pool|throttle|not_ready)\b/],
  ["The store and its disk", /^millpond\.(?:store|disk)\b/],
  ["Calls, connections, and what is in memory for them", /^millpond\.(?:rpc|connection|request|result)\b/],
  ["Telemetry itself", /^millpond\.(?:log|span|trace_context|metric|info)\b/],
  ["The process", /^(?:process|nodejs|v8js)\b/],
] as const;

const depth = metrics.find(({ name }) => name === "millpond.queue.depth")?.description;

/** The whole page. */
export function renderMetrics(): string {
  return `# Metrics

<!-- Written by test/docs/metrics.ts from src/metrics/table.ts and process-table.ts: change it there. -->

One registry holds every number; \`Stats\`, \`/metrics\` and OTLP read it, so they agree. All of it is in memory and starts at
zero with the server, except what is read from the store.

## Prometheus

\`/metrics\` on the HTTP port, in the text format, behind the same checks of names and origins as everything there
([protocol.md](protocol.md#web-pages)). \`deploy/prometheus/prometheus.yaml\` scrapes it, \`deploy/prometheus/alerts.yaml\` has rules
for conditions that an operator must act on, and \`deploy/grafana/millpond.json\` is a dashboard to import.

\`\`\`
$ curl -s localhost:7718/metrics | grep millpond_queue_depth
# HELP millpond_queue_depth ${depth}
# TYPE millpond_queue_depth gauge
millpond_queue_depth{pool="cpu"} 12
\`\`\`

Names follow OpenTelemetry's rule: dots become underscores, the unit comes last, counters end in \`_total\`, and a histogram
has \`_bucket\`, \`_sum\` and \`_count\`. Dots in attributes become underscores too.

## OTLP

\`OTEL_EXPORTER_OTLP_ENDPOINT\`, or \`OTEL_METRICS_EXPORTER=otlp\`, pushes the same metrics every
\`OTEL_METRIC_EXPORT_INTERVAL\` (60,000 ms), by \`OTEL_EXPORTER_OTLP_PROTOCOL\`: \`http/protobuf\`, \`http/json\` or \`grpc\`, and once more
at the end. \`OTEL_METRICS_EXPORTER=none\` turns it off where only traces are wanted, and so does \`prometheus\`, for \`/metrics\` is always there. Values are cumulative; a preference for
delta is refused at the start. A collector that is away costs no job anything: what is not taken is not kept, the log says
so once a minute at most, and \`millpond.metric.failed_exports\` counts it.

## Bounds

No metric names a client: \`millpond stats\` shows a client its own numbers, and \`millpond top\` those of the busiest. \`task\`
and \`pool\` are those that are loaded, \`reason\` one of [errors.md](errors.md). Beyond 8,000 series of one metric, what is new is
counted together in one with the attribute \`otel.metric.overflow\`. Numbers of the store are left out of an answer when it
has failed, or does not say them within a second.

${groups
  .map(([title, pattern]) =>
    section(
      title,
      metrics.filter(({ name }) => pattern.test(name)),
    ),
  )
  .join("\n\n")}
`;
}

function section(title: string, members: readonly Metric[]): string {
  const rows = members.map((metric) => [
    `\`${metric.name}\`<br>\`${prometheusName(metric)}\``,
    `${metric.kind}${metric.unit === "" ? "" : `, ${metric.unit}`}`,
    metric.attributes.map((name) => `\`${name}\``).join(", "),
    [metric.description, metric.advice].filter((text) => text !== "").join(" "),
  ]);
  const lines = [
    ["Metric, for Prometheus", "Kind, unit", "Attributes", "Meaning, and what to do"],
    Array(4).fill("---"),
    ...rows,
  ];
  return `## ${title}\n\n${lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n")}`;
}

if (import.meta.main) process.stdout.write(renderMetrics());
