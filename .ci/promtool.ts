/**
 * Asks Prometheus' own tool about the alert rules, when they fire, the queries of the dashboard, and what a real server says at
 * /metrics. Where promtool is not installed nothing is checked, and that is said.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "../clients/typescript/index.ts";
import { parseConfig } from "../src/config.ts";
import { startServer } from "../src/server.ts";
import { expressions } from "../test/deploy/dashboard.ts";

function promtool(args: readonly string[], input = ""): void {
  const { status, stdout, stderr } = spawnSync("promtool", args, { input, encoding: "utf8" });
  assert.equal(status, 0, `promtool ${args.join(" ")} ended with ${status}:\n${stdout}${stderr}`);
  process.stdout.write(`promtool ${args.slice(0, 2).join(" ")}: good\n`);
}

/** The queries as rules, with something in place of the variables. */
function dashboardRules(): string {
  const rules = expressions().map((expr, index) => ({
    record: `panel:query:${index}`,
    expr: expr.replaceAll("$__rate_interval", "5m").replaceAll(/\$(?:instance|pool|task)/g, ".*"),
  }));
  return JSON.stringify({ groups: [{ name: "dashboard", rules }] });
}

/** What a server says that has done a little of everything. */
async function scrape(): Promise<string> {
  const text = JSON.stringify({ grpc: { port: 0 }, http: { port: 0 }, store: "memory", log: { level: "error" } });
  const server = await startServer(parseConfig({ file: { name: "promtool", text }, env: {}, flags: {}, cores: 2 }), {});
  const client = connect({ address: server.grpcAddress, client: "promtool" });
  try {
    await client.run("echo", { input: { n: 1 } });
    await client.run("fail", { input: { message: "no luck" } }).catch(() => undefined);
    await client.run("no.such.task", null).catch(() => undefined);
    return await (await fetch(`http://${server.httpAddress}/metrics`)).text();
  } finally {
    await client.close();
    await server.stop();
  }
}

if (spawnSync("promtool", ["--version"]).error) {
  process.stdout.write(
    "promtool is not installed, so alert rules, dashboard and /metrics are not checked by it: " +
      "apt-get install prometheus (Debian, Ubuntu), or https://prometheus.io/download\n",
  );
} else {
  const folder = mkdtempSync(join(tmpdir(), "millpond-promtool-"));
  try {
    const queries = join(folder, "dashboard.yaml");
    writeFileSync(queries, dashboardRules());
    promtool(["check", "config", "deploy/prometheus/prometheus.yaml"]);
    promtool(["check", "rules", "deploy/prometheus/alerts.yaml", queries]);
    promtool(["test", "rules", "test/deploy/alerts-fire.yaml"]);
    promtool(["check", "metrics"], await scrape());
  } finally {
    rmSync(folder, { recursive: true });
  }
}
