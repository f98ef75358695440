import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffMs } from "../../../clients/typescript/backoff.ts";
import { MillpondClientError } from "../../../clients/typescript/index.ts";
import { createReconnect } from "../../../clients/typescript/reconnect.ts";
import { createFakeClock, start } from "./fixtures.ts";

const { signal } = new AbortController();
const lost = (retryAfterMs?: number) =>
  new MillpondClientError({ reason: "connection_lost", codeName: "INTERNAL", message: "reset", retryAfterMs });

function setUp(options: { reconnectMs?: number; retries?: number } = {}) {
  const time = createFakeClock();
  const closing = new AbortController();
  const connection = { closed: closing.signal };
  const given = { connection, clock: time.clock, random: () => 1, reconnectMs: 60_000, retries: 5, ...options };
  return { ...time, closing, reconnect: createReconnect(given) };
}

test("the backoff doubles up to its cap, and is spread over all of its range", () => {
  assert.deepEqual(
    [0, 1, 2, 5, 6, 60].map((attempt) => backoffMs(attempt, () => 1)),
    [100, 200, 400, 3_200, 5_000, 5_000],
  );
  const drawn = Array.from({ length: 1_000 }, () => backoffMs(3, Math.random));
  assert.ok(Math.min(...drawn) < 80 && Math.max(...drawn) > 720, "full jitter reaches from 0 to 800");
});

test("progress starts the count anew", async () => {
  const { reconnect, slept } = setUp();
  reconnect.opened();
  await reconnect.failed(lost(), signal);
  await reconnect.failed(lost(), signal);
  reconnect.progressed();
  await reconnect.failed(lost(), signal);
  assert.deepEqual(slept, [100, 200, 100]);
});

test("a stream that stood for long is no failed try, even when nothing came over it", async () => {
  const { reconnect, slept, advance } = setUp();
  for (let hour = 0; hour < 3; hour++) {
    reconnect.opened();
    advance(3_600_000);
    await reconnect.failed(lost(), signal);
  }
  assert.deepEqual(slept, [100, 100, 100]);
});

test("the server's advice is obeyed", async () => {
  const { reconnect, slept } = setUp();
  reconnect.opened();
  await reconnect.failed(lost(9_000), signal);
  assert.deepEqual(slept, [9_000]);
});

test("where no server was ever reached it gives up after `retries`, otherwise after reconnectMs", async () => {
  const never = setUp({ retries: 2 });
  await never.reconnect.failed(lost(), signal);
  await never.reconnect.failed(lost(), signal);
  await assert.rejects(never.reconnect.failed(lost(), signal), { reason: "connection_lost" });

  const once = setUp({ retries: 2, reconnectMs: 10_000 });
  once.reconnect.opened();
  const startedAt = once.clock.now();
  const thrown = async () => {
    for (;;) await once.reconnect.failed(lost(), signal);
  };
  await assert.rejects(thrown, {
    ...{ reason: "connection_lost", codeName: "INTERNAL" },
    message:
      "reset; tried again for 6.3 s without progress, and reconnectMs is 10000: jobs that were accepted may still run",
  });
  const waited = once.clock.now() - startedAt;
  assert.ok(waited > 5_000 && waited < 10_000, `waited ${waited} ms`);
});

test("watchStats yields snapshots in plain numbers, and ends quietly with its signal", async (t) => {
  const { client, server } = await start(t);
  const stop = new AbortController();
  const seen: unknown[] = [];
  for await (const { pools, uptimeMs } of client.watchStats({ intervalMs: 200, signal: stop.signal })) {
    seen.push(pools[0]?.queued, uptimeMs, server.intervals[0]);
    if (seen.length === 3) server.cut();
    else stop.abort();
  }
  assert.deepEqual(seen, [12, 1_500.25, 200, 12, 1_500.25, 200]);
});
