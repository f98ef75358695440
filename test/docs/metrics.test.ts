import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { prometheusName } from "../../src/metrics/prometheus.ts";
import { metrics } from "../../src/metrics/table.ts";
import { renderMetrics } from "./metrics.ts";

const page = await readFile(new URL("../../docs/metrics.md", import.meta.url), "utf8");

test("docs/metrics.md says what the table of metrics says", () => {
  assert.equal(page, renderMetrics(), "run: node test/docs/metrics.ts > docs/metrics.md");
});

test("docs/metrics.md has every metric once, by both names, with its kind, unit, attributes and meaning", () => {
  for (const metric of metrics) {
    const rows = page.split("\n").filter((line) => line.startsWith(`| \`${metric.name}\`<br>`));
    assert.equal(rows.length, 1, metric.name);
    const words = [prometheusName(metric), metric.kind, metric.unit, ...metric.attributes, metric.description];
    for (const word of words) assert.ok(rows[0]?.includes(word), `${metric.name}: ${word} is missing`);
  }
});
