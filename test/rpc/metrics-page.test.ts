/** `/metrics` of a real server. */
import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { after, test } from "node:test";
import { prometheusName } from "../../src/metrics/prometheus.ts";
import { metrics } from "../../src/metrics/table.ts";
import { notReadyReasons } from "../../src/engine/upkeep/readiness.ts";
import { metricsPage } from "../../src/rpc/pages.ts";
import { parseExposition, valueOf } from "../metrics/exposition.ts";
import { openServer, startedPools, ways } from "./fixtures.ts";
import { until } from "../support/until.ts";
import { echo, follow, newChannel } from "./jobs.ts";
import { exchangeRaw, portOf } from "./raw.ts";
import { refused } from "./refused.ts";

const server = await openServer({ pools: startedPools });
after(() => server.remove());
const url = `http://${server.httpAddress}/metrics`;
const scrape = async () => parseExposition(await (await fetch(url)).text());

test("/metrics is what Prometheus reads, and answers GET and HEAD only", async () => {
  const response = await fetch(url);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  parseExposition(await response.text());
  const head = await fetch(url, { method: "HEAD" });
  assert.deepEqual([head.status, await head.text()], [200, ""]);
  const post = await fetch(url, { method: "POST" });
  assert.deepEqual([post.status, post.headers.get("allow")], [405, "GET, HEAD"]);
});

test("/metrics is held to the names and origins of the port, as everything on it", async () => {
  const raw = (head: string) =>
    exchangeRaw(portOf(server.httpAddress), `GET /metrics HTTP/1.1\r\n${head}\r\n`, (text) =>
      text.includes("\r\n\r\n"),
    );
  assert.match(await raw("Host: evil.example\r\n"), /^HTTP\/1\.1 403 /);
  assert.match(await raw("Host: localhost\r\nOrigin: http://evil.example\r\n"), /^HTTP\/1\.1 403 /);
  assert.match(await raw("Host: localhost\r\n"), /^HTTP\/1\.1 200 /);
});

test("what the server is and does is there: pools, store, disk, connections, calls, memory and the event loop", async () => {
  await until(async () => (await scrape()).has("millpond_disk_free_bytes")); // the first look at the disk is over
  const families = await scrape();
  const pool = { pool: "held" };
  const exact = [
    ["millpond_pool_workers", pool, 2],
    ["millpond_pool_max_workers", pool, 2],
    ["millpond_pool_broken", pool, 0],
    ["millpond_queue_limit", pool, 4],
    ["millpond_queue_depth", pool, 0],
    ["millpond_jobs_suspects", pool, 0],
    ["millpond_result_readers", {}, 0],
    ["millpond_log_dropped_total", {}, 0],
    ...notReadyReasons.map((reason) => ["millpond_not_ready", { reason }, 0] as const),
    ["millpond_info", { store: "sqlite" }, 1],
  ] as const;
  for (const [name, labels, value] of exact) assert.equal(valueOf(families, name, labels), value, name);
  const positive = [
    ["millpond_store_size_bytes", {}],
    ["millpond_disk_free_bytes", {}],
    ["millpond_disk_least_bytes", {}],
    ["millpond_connection_open", {}],
    ["millpond_connection_limit", {}],
    ["millpond_request_limit_bytes", {}],
    ["millpond_result_limit_bytes", {}],
    ["process_uptime_seconds", {}],
    ["process_cpu_time_seconds_total", { cpu_mode: "user" }],
    ["process_memory_usage_bytes", {}],
    ["v8js_memory_heap_limit_bytes", {}],
    ["v8js_memory_heap_used_bytes", { v8js_heap_space_name: "old_space" }],
    ["nodejs_eventloop_utilization_ratio", {}],
  ] as const;
  for (const [name, labels] of positive) assert.ok((valueOf(families, name, labels) ?? 0) > 0, name);
});

test("scrapes that come while one is read get the same answer: the server's numbers are read once for them", async () => {
  let reads = 0;
  const read = Promise.withResolvers<readonly []>();
  const page = metricsPage({
    collect() {
      reads += 1;
      return read.promise;
    },
  });
  const request = {} as IncomingMessage;
  const early = Array.from({ length: 300 }, async () => page.answer(request));
  read.resolve([]);
  const answers = new Set(await Promise.all(early));
  assert.deepEqual([reads, answers.size], [1, 1]);
  await page.answer(request);
  assert.equal(reads, 2);
});

test("open files are counted where the system shows them", async () => {
  assert.equal((await scrape()).has("process_open_fds"), process.platform === "linux");
});

test("calls are counted by method and status, streams when they end; commits are there with their size", async () => {
  const [client, channel] = [server.client(ways.grpc, "ada"), newChannel()];
  const method = (name: string) => ({ rpc_method: `millpond.v1.WorkerPoolService/${name}` });
  const before = await scrape();
  for (const status of ["OK", "INTERNAL"]) {
    const first = { ...method("Submit"), rpc_response_status_code: status };
    assert.equal(
      valueOf(before, "millpond_rpc_calls_total", first),
      0,
      "an alert sees the first one only after a zero",
    );
  }
  await client.submit({ jobs: [echo(1, { channel })] });
  await refused(client.submit({ jobs: [{ task: "no.such.task" }] }));
  await follow(client, { channel }, 1);
  const watching = new AbortController();
  const watched = client.watchStats({}, { signal: watching.signal })[Symbol.asyncIterator]();
  await watched.next();
  const during = await scrape();
  watching.abort();
  await watched.next().catch(() => undefined);

  assert.equal(valueOf(during, "millpond_rpc_open_calls", method("WatchStats")), 1);
  const calls = (name: string, status: string) =>
    valueOf(during, "millpond_rpc_calls_total", { ...method(name), rpc_response_status_code: status });
  assert.equal(calls("Submit", "OK"), 1);
  assert.equal(calls("Submit", "NOT_FOUND"), 1);
  assert.ok((valueOf(during, "millpond_store_commit_duration_seconds_count") ?? 0) >= 2);
  assert.equal(
    valueOf(during, "millpond_store_commit_size_count"),
    valueOf(during, "millpond_store_commit_duration_seconds_count"),
  );
});

test("each series has the attributes that docs/metrics.md names, and no other", async () => {
  const families = await scrape();
  const documented = new Map(metrics.map((metric) => [prometheusName(metric), metric]));
  for (const { name, type, help, samples } of families.values()) {
    const metric = documented.get(name);
    assert.deepEqual([type, help], [metric?.kind, metric?.description], name);
    const wanted = (metric?.attributes ?? []).map((attribute) => attribute.replaceAll(".", "_"));
    for (const { labels } of samples) {
      const { le: _, ...own } = labels;
      assert.deepEqual(Object.keys(own).toSorted(), wanted.toSorted(), name);
    }
  }
});

test("no metric names a client", async () => {
  await server.client(ways.grpc, "a-very-secret-client").submit({ jobs: [echo(1)] });
  await refused(server.client(ways.grpc, "a-very-secret-client").submit({ jobs: [{ task: "no.such.task" }] }));
  assert.doesNotMatch(await (await fetch(url)).text(), /secret|ada/);
});
