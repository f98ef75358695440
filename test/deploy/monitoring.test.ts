/** The alert rules and the dashboard speak of metrics that there are. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { suite, test } from "node:test";
import { parse } from "yaml";
import { prometheusName } from "../../src/metrics/prometheus.ts";
import { metrics } from "../../src/metrics/table.ts";
import { expressions, renderDashboard } from "./dashboard.ts";

const read = (path: string) => readFileSync(new URL(`../../deploy/${path}`, import.meta.url), "utf8");

type Rule = {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
};
const { groups } = parse(read("prometheus/alerts.yaml")) as { readonly groups: { readonly rules: readonly Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(read("grafana/millpond.json")) as ReturnType<typeof renderDashboard>;

/** What can be asked of each metric: histograms by their three parts. `up` is Prometheus' own. */
const names = new Map<string, readonly string[]>([["up", []]]);
for (const metric of metrics) {
  const name = prometheusName(metric);
  const labels = metric.attributes.map((attribute) => attribute.replaceAll(".", "_"));
  if (metric.kind !== "histogram") names.set(name, labels);
  else for (const part of ["_bucket", "_sum", "_count"]) names.set(name + part, [...labels, "le"]);
}

/** Names in an expression that are metrics, and labels that are matched or grouped by, and that nobody has. */
function unknownIn(expr: string): string[] {
  const bare = expr.replace(/"[^"]*"/g, '""').replace(/\[[^\]]*\]/g, "");
  const used = [...bare.matchAll(/\b(?:millpond|process|nodejs|v8js)_\w+|\bup\b/g)].map(([name]) => name);
  const known = new Set([...used.flatMap((name) => names.get(name) ?? []), "instance", "job"]);
  const labels = [...bare.matchAll(/(\w+)\s*(?:=~|!=|!~|=)\s*""/g)].map(([, label = ""]) => label);
  const grouped = [...bare.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = ""]) =>
    list.split(",").map((each) => each.trim()),
  );
  return [...used.filter((name) => !names.has(name)), ...[...labels, ...grouped].filter((label) => !known.has(label))];
}

suite("alert rules", () => {
  test("name metrics and labels that there are", () => {
    assert.ok(rules.length >= 10);
    for (const { alert, expr } of rules) assert.deepEqual(unknownIn(expr), [], alert);
  });

  test("say how bad it is, what it is and what to do", () => {
    for (const { alert, labels, annotations } of rules) {
      assert.match(alert, /^Millpond[A-Z]/);
      assert.match(labels.severity, /^(?:critical|warning)$/);
      assert.ok(annotations.summary.length > 20 && annotations.description.length > 20, alert);
      const used = [...annotations.summary.matchAll(/\$labels\.(\w+)/g)].map(([, label = ""]) => label);
      const expr = rules.find((rule) => rule.alert === alert)?.expr ?? "";
      const has = [...names].filter(([name]) => expr.includes(name)).flatMap(([, own]) => own);
      for (const label of used) assert.ok(label === "instance" || has.includes(label), `${alert}: ${label}`);
    }
  });

  test("each have a case in alerts-fire.yaml in which they fire", () => {
    const { tests } = parse(readFileSync(new URL("alerts-fire.yaml", import.meta.url), "utf8")) as {
      readonly tests: readonly {
        readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts?: readonly unknown[] }[];
      }[];
    };
    const cases = tests.flatMap(({ alert_rule_test }) => alert_rule_test);
    const firing = cases.filter(({ exp_alerts = [] }) => exp_alerts.length > 0).map(({ alertname }) => alertname);
    assert.deepEqual([...new Set(firing)].toSorted(), rules.map(({ alert }) => alert).toSorted());
  });

  test("are loaded by the configuration of Prometheus, which scrapes the server of compose", () => {
    const config = parse(read("prometheus/prometheus.yaml")) as {
      readonly rule_files: readonly string[];
      readonly scrape_configs: readonly {
        readonly job_name: string;
        readonly static_configs: readonly { readonly targets: readonly string[] }[];
      }[];
    };
    assert.deepEqual(config.rule_files, ["alerts.yaml"]);
    const [scrape] = config.scrape_configs;
    assert.equal(scrape?.job_name, "millpond"); // as the rules have it
    assert.deepEqual(scrape.static_configs[0]?.targets, ["millpond:7718"]);
  });
});

suite("the dashboard", () => {
  test("is what its table says", () => {
    const wanted: unknown = JSON.parse(JSON.stringify(renderDashboard()));
    assert.deepEqual(dashboard, wanted, "run: node test/deploy/dashboard.ts > deploy/grafana/millpond.json");
  });

  test("names metrics and labels that there are", () => {
    for (const expr of expressions()) assert.deepEqual(unknownIn(expr), [], expr);
    for (const { query } of dashboard.templating.list.slice(1)) {
      const [, metric = "", label = ""] =
        /^label_values\((\w+)(?:\{.*\})?, (\w+)\)$/.exec((query as { query: string }).query) ?? [];
      assert.ok(names.get(metric)?.includes(label) || (names.has(metric) && label === "instance"), metric);
    }
  });

  test("has panels with ids of their own that cover no other, and takes whatever Prometheus it is given", () => {
    assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
    const cells = new Set<string>();
    for (const { gridPos, title } of dashboard.panels) {
      const { x, y, w, h } = gridPos as {
        readonly x: number;
        readonly y: number;
        readonly w: number;
        readonly h: number;
      };
      assert.ok(x + w <= 24, title);
      for (let column = x; column < x + w; column += 1) {
        for (let line = y; line < y + h; line += 1) {
          assert.ok(!cells.has(`${column} ${line}`), `${title} covers another`);
          cells.add(`${column} ${line}`);
        }
      }
    }
    const uids = new Set(
      [...JSON.stringify(dashboard).matchAll(/"type":"prometheus","uid":"([^"]*)"/g)].map(([, uid]) => uid),
    );
    assert.deepEqual([...uids], ["${datasource}"]);
  });

  test("shows what an operator asks first, and every metric that it leaves out is a bound or a detail", () => {
    const shown = expressions().join(" ");
    const missing = metrics.map(prometheusName).filter((name) => !shown.includes(name));
    assert.deepEqual(missing.toSorted(), [
      "millpond_connection_limit",
      "millpond_info",
      "millpond_jobs_redriven_total",
      "millpond_jobs_suspects",
      "millpond_not_ready",
      "millpond_pool_broken",
      "millpond_pool_busy_workers",
      "millpond_pool_concurrency",
      "millpond_pool_min_workers",
      "millpond_pool_paused",
      "millpond_result_readers",
      "millpond_trace_context_malformed_total",
      "nodejs_eventloop_delay_max_seconds",
      "process_open_fds",
      "v8js_gc_duration_seconds",
      "v8js_memory_heap_limit_bytes",
    ]);
  });
});

test("the check of expressions sees a metric and a label that nobody has", () => {
  assert.deepEqual(unknownIn('sum by (planet) (rate(millpond_jobs_refused_total{mood="x"}[5m])) / millpond_nothing'), [
    "millpond_nothing",
    "mood",
    "planet",
  ]);
});
