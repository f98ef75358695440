/** A real server process, and where it exports to: nowhere, to the right place, or to a collector that does not answer. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { echo, follow, newChannel } from "../rpc/jobs.ts";
import { clientAt, makePlace } from "../server/place.ts";
import { headersOf, newTrace, openReceiver, otlp } from "./receiver.ts";

test("spans go to the endpoint of traces, by their protocol, before those of all signals", async (t) => {
  const receiver = await openReceiver(t);
  const { start } = await makePlace(t);
  const server = await start([], {
    ...{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" },
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${receiver.url}/own`,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/json",
    OTEL_METRICS_EXPORTER: "none",
  });
  await clientAt(server).run({ job: echo(1) });
  await server.signal("SIGTERM");

  assert.deepEqual(new Set(receiver.requests), new Set(["/own application/json"]));
});

test("a collector that never answers costs no job, and a stop waits for spans and metrics at the same time", async (t) => {
  const silent = createServer(() => undefined);
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  t.after(() => {
    silent.closeAllConnections();
    silent.close();
  });
  const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const { start } = await makePlace(t);
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_BSP_MAX_QUEUE_SIZE: "100" };
  const server = await start(["--log-level", "warn"], {
    ...env,
    OTEL_TRACES_SAMPLER: "always_on",
    OTEL_EXPORTER_OTLP_TIMEOUT: "3600000",
  });
  const client = clientAt(server);
  const channel = newChannel();
  await client.submit({ jobs: Array.from({ length: 500 }, (_, index) => echo(index, { channel })) });
  assert.equal((await follow(client, { channel }, 500)).length, 500);
  const metrics = await (await fetch(`http://${server.serving.http}/metrics`)).text();
  const [, dropped] = /^millpond_span_dropped_total(?:\{.*\})? (\d+)$/m.exec(metrics) ?? [];
  assert.ok(Number(dropped) > 1_000, `${dropped} spans were dropped`);
  const { code, stderr } = await server.signal("SIGTERM");
  assert.equal(code, 0);
  const lines = stderr
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { readonly time: string; readonly msg: string });
  const [spansAt, metricsAt] = ["spans were lost at shutdown", "the last push of metrics was given up"].map((what) =>
    Date.parse(lines.find(({ msg }) => msg.startsWith(what))?.time ?? ""),
  );
  const apartMs = Math.abs((spansAt as number) - (metricsAt as number));
  assert.ok(apartMs < 2_000, `one after the other they would be given up 3 s apart, and were ${apartMs} ms`);
});

test("without the standard variables nothing is exported", async (t) => {
  const receiver = await openReceiver(t);
  const { start } = await makePlace(t);
  // an endpoint alone would turn traces on: these say that they are off
  const server = await start([], { ...otlp(receiver), OTEL_TRACES_EXPORTER: "none" });
  const client = clientAt(server);
  const channel = newChannel();
  await client.submit({ jobs: [echo("untraced", { channel })] }, headersOf(newTrace()));
  await follow(client, { channel }, 1);
  await server.signal("SIGTERM");

  assert.deepEqual(receiver.requests, []);
});

test("an unknown protocol is refused at the start, with the variable, the value and what is possible", async (t) => {
  const { start } = await makePlace(t);
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318", OTEL_EXPORTER_OTLP_PROTOCOL: "http" };
  await assert.rejects(start([], env), /OTEL_EXPORTER_OTLP_PROTOCOL is "http": use grpc, http\/protobuf or http\/json/);
});
