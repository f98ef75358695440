/**
 * Writes the dashboard from the table below:
 *
 *     node test/deploy/dashboard.ts > deploy/grafana/millpond.json && npm run format
 */
const of = 'instance=~"$instance"';
const ofPool = `${of},pool=~"$pool"`;
const ofTask = `${ofPool},task=~"$task"`;

type Panel = {
  readonly title: string;
  readonly kind?: "timeseries" | "stat";
  readonly unit: string;
  readonly description?: string;
  readonly stacked?: true;
  /** Expressions by legend. */
  readonly queries: { readonly [legend: string]: string };
};
type Row = {
  readonly title: string;
  readonly height: number;
  readonly perLine: number;
  readonly panels: readonly Panel[];
};

const rate = (metric: string, labels: string, by: string) =>
  `sum by (${by}) (rate(${metric}{${labels}}[$__rate_interval]))`;
const quantile = (q: number, metric: string, labels: string, by = "") =>
  `histogram_quantile(${q}, sum by (${by === "" ? "le" : `le, ${by}`}) (rate(${metric}_bucket{${labels}}[$__rate_interval])))`;
const halves = (metric: string, labels: string) => ({
  p50: quantile(0.5, metric, labels),
  p90: quantile(0.9, metric, labels),
  p99: quantile(0.99, metric, labels),
});

const stat = (title: string, unit: string, expr: string): Panel => ({
  title,
  kind: "stat",
  unit,
  queries: { "": expr },
});

const rows: readonly Row[] = [
  {
    title: "Now",
    height: 4,
    perLine: 6,
    panels: [
      stat("Finished", "ops", `sum(rate(millpond_jobs_finished_total{${ofPool}}[$__rate_interval]))`),
      stat("Waiting", "short", `sum(millpond_queue_depth{${ofPool}})`),
      stat("Running", "short", `sum(millpond_jobs_running{${ofPool}})`),
      stat("Oldest waits for", "s", `max(millpond_queue_oldest_age_seconds{${ofPool}})`),
      stat("Dead letters", "short", `sum(millpond_jobs_stored{${ofPool},state="dead"})`),
      stat("Up for", "s", `min(process_uptime_seconds{${of},job="millpond"})`),
    ],
  },
  {
    title: "Jobs",
    height: 8,
    perLine: 3,
    panels: [
      {
        title: "Accepted and refused",
        unit: "ops",
        queries: {
          "{{outcome}}": rate("millpond_jobs_admitted_total", ofTask, "outcome"),
          "refused: {{reason}}": rate("millpond_jobs_refused_total", of, "reason"),
        },
      },
      {
        title: "Finished",
        unit: "ops",
        stacked: true,
        queries: { "{{state}}": rate("millpond_jobs_finished_total", ofTask, "state") },
      },
      {
        title: "Finished, by task",
        unit: "ops",
        stacked: true,
        queries: { "{{task}}": rate("millpond_jobs_finished_total", ofTask, "task") },
      },
      { title: "Submit to outcome", unit: "s", queries: halves("millpond_job_duration_seconds", ofTask) },
      { title: "Queue wait", unit: "s", queries: halves("millpond_queue_wait_seconds", ofTask) },
      { title: "Execution", unit: "s", queries: halves("millpond_attempt_duration_seconds", ofTask) },
      {
        title: "Execution p99, by task",
        unit: "s",
        queries: { "{{task}}": quantile(0.99, "millpond_attempt_duration_seconds", ofTask, "task") },
      },
      {
        title: "Attempts that did not succeed",
        unit: "ops",
        queries: {
          "{{task}} {{outcome}}": rate("millpond_attempts_total", `${ofTask},outcome!="succeeded"`, "task, outcome"),
          "{{task}} retried": rate("millpond_retries_total", ofTask, "task"),
        },
      },
      {
        title: "Deaths",
        unit: "short",
        queries: {
          "{{task}} {{reason}}": `sum by (task, reason) (increase(millpond_jobs_dead_total{${ofTask}}[$__rate_interval]))`,
        },
      },
    ],
  },
  {
    title: "Pools",
    height: 8,
    perLine: 3,
    panels: [
      {
        title: "Waiting",
        unit: "short",
        queries: {
          "{{pool}}": `sum by (pool) (millpond_queue_depth{${ofPool}})`,
          "{{pool}} eligible": `sum by (pool) (millpond_queue_eligible{${ofPool}})`,
          "{{pool}} bound": `sum by (pool) (millpond_queue_limit{${ofPool}})`,
        },
      },
      {
        title: "Oldest due job",
        unit: "s",
        queries: { "{{pool}}": `max by (pool) (millpond_queue_oldest_age_seconds{${ofPool}})` },
      },
      {
        title: "Running and workers",
        unit: "short",
        queries: {
          "{{pool}} running": `sum by (pool) (millpond_jobs_running{${ofPool}})`,
          "{{pool}} workers": `sum by (pool) (millpond_pool_workers{${ofPool}})`,
          "{{pool}} target": `sum by (pool) (millpond_pool_target{${ofPool}})`,
          "{{pool}} at most": `sum by (pool) (millpond_pool_max_workers{${ofPool}})`,
        },
      },
    ],
  },
  {
    title: "Store",
    height: 8,
    perLine: 3,
    panels: [
      { title: "Commit", unit: "s", queries: halves("millpond_store_commit_duration_seconds", of) },
      {
        title: "Calls for each commit",
        unit: "short",
        queries: {
          "{{instance}}": `sum by (instance) (rate(millpond_store_commit_size_sum{${of}}[$__rate_interval])) / sum by (instance) (rate(millpond_store_commit_size_count{${of}}[$__rate_interval]))`,
        },
      },
      {
        title: "Files and disk",
        unit: "bytes",
        queries: {
          "{{instance}} store": `millpond_store_size_bytes{${of}}`,
          "{{instance}} free inside": `millpond_store_free_bytes{${of}}`,
          "{{instance}} disk free": `millpond_disk_free_bytes{${of}}`,
          "{{instance}} least": `millpond_disk_least_bytes{${of}}`,
        },
      },
    ],
  },
  {
    title: "Calls and memory",
    height: 8,
    perLine: 3,
    panels: [
      {
        title: "Calls, by status",
        unit: "ops",
        queries: { "{{rpc_response_status_code}}": rate("millpond_rpc_calls_total", of, "rpc_response_status_code") },
      },
      {
        title: "Open",
        unit: "short",
        queries: {
          connections: `sum(millpond_connection_open{${of}})`,
          "{{rpc_method}}": `sum by (rpc_method) (millpond_rpc_open_calls{${of}}) > 0`,
        },
      },
      {
        title: "Throttled",
        unit: "ops",
        description: "Jobs that waited for their client's rate, and how many waited at the same time.",
        queries: {
          "jobs/s": `sum(rate(millpond_throttle_jobs_total{${of}}[$__rate_interval]))`,
          "waiting at once": `sum(rate(millpond_throttle_time_seconds_total{${of}}[$__rate_interval]))`,
        },
      },
      {
        title: "Held for requests and results",
        unit: "bytes",
        queries: {
          requests: `sum(millpond_request_held_bytes{${of}})`,
          "requests, at most": `sum(millpond_request_limit_bytes{${of}})`,
          results: `sum(millpond_result_unread_bytes{${of}})`,
          "results, at most": `sum(millpond_result_limit_bytes{${of}})`,
        },
      },
      {
        title: "Memory",
        unit: "bytes",
        queries: {
          "{{instance}} resident": `process_memory_usage_bytes{${of},job="millpond"}`,
          "{{instance}} heap": `sum by (instance) (v8js_memory_heap_used_bytes{${of},job="millpond"})`,
        },
      },
      {
        title: "Lost",
        unit: "short",
        queries: {
          spans: `sum(increase(millpond_span_dropped_total{${of}}[$__rate_interval]))`,
          "log lines": `sum(increase(millpond_log_dropped_total{${of}}[$__rate_interval]))`,
          "pushes of metrics": `sum(increase(millpond_metric_failed_exports_total{${of}}[$__rate_interval]))`,
          "requests cut: {{reason}}": `sum by (reason) (increase(millpond_request_cut_total{${of}}[$__rate_interval]))`,
          "connections: {{limit}}": `sum by (limit) (increase(millpond_connection_refused_total{${of}}[$__rate_interval]))`,
        },
      },
    ],
  },
  {
    title: "Main thread",
    height: 8,
    perLine: 3,
    panels: [
      {
        title: "Event loop delay",
        unit: "s",
        queries: {
          "{{instance}} p50": `nodejs_eventloop_delay_p50_seconds{${of},job="millpond"}`,
          "{{instance}} p99": `nodejs_eventloop_delay_p99_seconds{${of},job="millpond"}`,
        },
      },
      {
        title: "Busy",
        unit: "percentunit",
        queries: { "{{instance}}": `nodejs_eventloop_utilization_ratio{${of},job="millpond"}` },
      },
      {
        title: "CPU of all threads, in cores",
        unit: "short",
        stacked: true,
        queries: {
          "{{instance}} {{cpu_mode}}": rate(
            "process_cpu_time_seconds_total",
            `${of},job="millpond"`,
            "instance, cpu_mode",
          ),
        },
      },
    ],
  },
];

const datasource = { type: "prometheus", uid: "${datasource}" };
const width = 24;

/** Every expression of the dashboard, as it stands there. */
export function expressions(): string[] {
  return rows.flatMap(({ panels }) => panels.flatMap(({ queries }) => Object.values(queries)));
}

/** What Grafana imports (https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/). */
export function renderDashboard() {
  let id = 0;
  let y = 0;
  const panels = rows.flatMap(({ title, height, perLine, panels: own }) => {
    const head = {
      id: (id += 1),
      type: "row",
      title,
      collapsed: false,
      gridPos: { x: 0, y, w: width, h: 1 },
      panels: [],
    };
    const top = y + 1;
    const w = width / perLine;
    const below = own.map((panel, index) => {
      const gridPos = { x: (index % perLine) * w, y: top + Math.floor(index / perLine) * height, w, h: height };
      return toPanel(panel, (id += 1), gridPos);
    });
    y = top + Math.ceil(own.length / perLine) * height;
    return [head, ...below];
  });
  return {
    uid: "millpond",
    title: "Millpond",
    tags: ["millpond"],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: "30s",
    time: { from: "now-1h", to: "now" },
    timezone: "browser",
    annotations: { list: [] },
    links: [],
    templating: {
      list: [
        { name: "datasource", label: "Prometheus", type: "datasource", query: "prometheus", current: {}, hide: 0 },
        variable("instance", "Server", "label_values(millpond_info, instance)"),
        variable("pool", "Pool", `label_values(millpond_queue_limit{${of}}, pool)`),
        variable("task", "Task", `label_values(millpond_jobs_admitted_total{${ofPool}}, task)`),
      ],
    },
    panels,
  };
}

function toPanel(
  { title, kind = "timeseries", unit, description, stacked, queries }: Panel,
  id: number,
  gridPos: object,
) {
  const targets = Object.entries(queries).map(([legendFormat, expr], index) => ({
    refId: String.fromCharCode("A".charCodeAt(0) + index),
    ...{ expr, datasource, editorMode: "code", range: true },
    ...(legendFormat !== "" && { legendFormat }),
  }));
  const custom = { drawStyle: "line", fillOpacity: stacked ? 30 : 0, stacking: { mode: stacked ? "normal" : "none" } };
  const defaults = { unit, min: 0, ...(kind === "timeseries" && { custom }) };
  const options =
    kind === "stat"
      ? { reduceOptions: { calcs: ["lastNotNull"] }, colorMode: "none", graphMode: "area" }
      : { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi", sort: "desc" } };
  const said = description === undefined ? {} : { description };
  return {
    id,
    type: kind,
    title,
    ...said,
    datasource,
    gridPos,
    fieldConfig: { defaults, overrides: [] },
    options,
    targets,
  };
}

function variable(name: string, label: string, query: string) {
  const all = { includeAll: true, multi: true, allValue: ".*", current: { text: "All", value: "$__all" } };
  return { name, label, type: "query", datasource, query: { query, refId: name }, refresh: 2, sort: 1, ...all };
}

if (import.meta.main) process.stdout.write(`${JSON.stringify(renderDashboard(), null, 2)}\n`);
