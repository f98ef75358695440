/** What happens to spans when the collector is away, slow, or says no. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { suite, type TestContext, test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { openExport } from "../../src/telemetry/export.ts";
import type { Span } from "../../src/telemetry/span.ts";
import { readVariables } from "../../src/telemetry/variables.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { keptLog } from "../support/samples.ts";
import { until } from "../support/until.ts";

const span: Span = {
  ...{ name: "attempt", kind: "consumer", traceId: "b".repeat(32), spanId: "c".repeat(16), parentId: null },
  ...{ startedAt: 1_790_000_000_000.25, endedAt: 1_790_000_000_001.5, attributes: { "millpond.attempt": 1 } },
};

const realClock = { ...createFakeClock(), ...systemClock };

const taking = () => createServer((request, response) => request.resume().on("end", () => response.end()));

async function listen(t: TestContext, server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The exporters read their endpoint from the environment of the process. */
async function open(t: TestContext, url: string, more: object = {}, clock = createFakeClock()) {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_EXPORTER_OTLP_TIMEOUT: "60000", ...more };
  const before = { ...process.env };
  Object.assign(process.env, env);
  t.after(() => {
    for (const name of Object.keys(env)) delete process.env[name];
    Object.assign(process.env, before);
  });
  const { log, lines } = keptLog();
  const settings = readVariables(env).traces;
  assert.ok(settings);
  const sink = await openExport({ settings, resource: { "service.name": "mill" }, version: "1", clock, log });
  return { sink, lines, clock };
}

suite("spans", () => {
  test("beyond the bound are dropped before they are made, counted, and told of once in a minute", async (t) => {
    const { sink, lines, clock } = await open(t, await listen(t, createServer()), { OTEL_BSP_MAX_QUEUE_SIZE: "10" });
    for (let count = 0; count < 25; count += 1) if (sink.hasRoom(1)) sink.add(span);
    assert.deepEqual(sink.numbers(), { exported: 0, dropped: 15, waiting: 10 });
    assert.equal(lines.length, 1);
    clock.advance(59_000);
    assert.equal(sink.hasRoom(4), false);
    assert.equal(lines.length, 1);
    clock.advance(1_000);
    assert.equal(sink.hasRoom(1), false);
    assert.equal(lines.length, 2);
    assert.equal(sink.numbers().dropped, 20);
  });

  test("that a collector refuses are dropped, counted and told of, and nothing is printed", async (t) => {
    const refusing = createServer((_, response) => response.writeHead(400).end());
    const url = await listen(t, refusing);
    const { sink, lines } = await open(t, url, { OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "2" });
    sink.add(span);
    sink.add(span);
    await until(() => sink.numbers().dropped === 2);
    assert.deepEqual(sink.numbers(), { exported: 0, dropped: 2, waiting: 0 });
    assert.equal(lines.length, 1);
    assert.equal(lines[0]?.fields["collector"], url);
  });

  test("that nobody takes hold a stop up for three seconds, and no longer", async (t) => {
    const { sink, lines, clock } = await open(t, await listen(t, createServer()), {
      OTEL_EXPORTER_OTLP_TIMEOUT: "4000",
    });
    sink.add(span);
    const stopped = sink.stop();
    clock.advance(3_000);
    await stopped;
    assert.equal(lines.length, 1);
  });

  test("are handed over at a stop, and counted as exported", async (t) => {
    const { sink, lines } = await open(t, await listen(t, taking()), {}, realClock);
    sink.add(span);
    await sink.stop();
    assert.deepEqual(sink.numbers(), { exported: 1, dropped: 0, waiting: 0 });
    assert.deepEqual(lines, []);
  });

  for (const protocol of ["http/protobuf", "http/json"] as const) {
    test(`are handed over at a stop by ${protocol}, however many batches they are`, async (t) => {
      const small = { OTEL_BSP_MAX_QUEUE_SIZE: "4000", OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "50" };
      const settings = { ...small, OTEL_EXPORTER_OTLP_PROTOCOL: protocol };
      // by a clock that stands still the stop is not given up where the machine is busy
      const { sink, lines } = await open(t, await listen(t, taking()), settings);
      for (let count = 0; count < 4_000; count += 1) if (sink.hasRoom(1)) sink.add(span);
      await sink.stop();
      assert.deepEqual(sink.numbers(), { exported: 4_000, dropped: 0, waiting: 0 });
      assert.deepEqual(lines, []);
    });
  }

  test("never pass the bound, however many an attempt has: what waits is exported, and there is room again", async (t) => {
    const settings = {
      OTEL_BSP_MAX_QUEUE_SIZE: "64",
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "32",
      OTEL_BSP_SCHEDULE_DELAY: "1",
    };
    const { sink } = await open(t, await listen(t, taking()), settings);
    const giveAttempt = (spans: number) => {
      const hasRoom = sink.hasRoom(spans);
      for (let count = 0; hasRoom && count < spans; count += 1) sink.add(span);
      return hasRoom;
    };
    assert.equal(giveAttempt(65), false, "more than the bound");
    for (let round = 1; round <= 3; round += 1) {
      assert.deepEqual([giveAttempt(60), giveAttempt(5), giveAttempt(4)], [true, false, true]);
      await until(() => sink.numbers().waiting === 0);
      assert.deepEqual(sink.numbers(), { exported: 64 * round, dropped: 65 + 5 * round, waiting: 0 });
    }
  });

  test("wait for each exporter by itself: with two of them as many may wait as with one", async (t) => {
    const print = t.mock.method(console, "dir", () => undefined);
    const settings = { OTEL_TRACES_EXPORTER: "otlp,console", OTEL_BSP_MAX_QUEUE_SIZE: "10" };
    const { sink } = await open(t, await listen(t, taking()), settings, realClock);
    for (let count = 0; count < 11; count += 1) if (sink.hasRoom(1)) sink.add(span);
    const { dropped, waiting } = sink.numbers();
    assert.deepEqual([dropped, waiting], [1, 10]);
    await sink.stop();
    assert.deepEqual([print.mock.callCount(), sink.numbers()], [10, { exported: 20, dropped: 1, waiting: 0 }]);
  });

  test("that an exporter throws at are dropped and counted, and those after them have room", async (t) => {
    t.mock.method(console, "dir", () => {
      throw new Error("no console");
    });
    const settings = {
      OTEL_TRACES_EXPORTER: "console",
      OTEL_BSP_MAX_QUEUE_SIZE: "1",
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "1",
    };
    const { sink, lines } = await open(t, "", settings);
    for (let count = 1; count <= 2; count += 1) {
      assert.ok(sink.hasRoom(1));
      sink.add(span);
      await until(() => sink.numbers().waiting === 0);
      assert.deepEqual(sink.numbers(), { exported: 0, dropped: count, waiting: 0 });
    }
    assert.equal(lines.length, 1);
  });
});
