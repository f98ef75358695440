/** A closed client leaves nothing behind that waits. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { connect } from "../../../clients/typescript/index.ts";
import { startFakeServer } from "./fake-server.ts";
import { status, until } from "./fixtures.ts";

/** A client whose waits between two tries never end by themselves; `waiting` counts them. */
async function setUp(t: TestContext) {
  const server = await startFakeServer({
    onUnary: {
      stats: () => {
        throw status({ code: 8, reason: "queue_full", message: "full", retryAfterMs: 1_000 });
      },
    },
  });
  const waits = new Set<object>();
  const client = connect({
    address: server.address,
    random: () => 0.5,
    clock: {
      now: () => 0,
      after: () => () => undefined,
      sleep: (_ms, signal) =>
        new Promise((_resolve, reject) => {
          const wait = {};
          waits.add(wait);
          const stop = () => {
            waits.delete(wait);
            reject(signal?.reason);
          };
          if (signal?.aborted) stop();
          else signal?.addEventListener("abort", stop, { once: true });
        }),
    },
  });
  t.after(async () => {
    await client.close();
    server.stop();
  });
  return { client, server, waits };
}

test("close ends the wait before the next try of a call", async (t) => {
  const { client, waits } = await setUp(t);
  const calls = Array.from({ length: 20 }, () => client.stats().catch((error: unknown) => error));
  await until(() => waits.size === 20);
  await client.close();
  for (const error of await Promise.all(calls)) assert.equal((error as { reason: string }).reason, "client_closed");
  assert.equal(waits.size, 0);
});

test("close ends the wait before a stream is opened again", async (t) => {
  const { client, server, waits } = await setUp(t);
  server.behaviour.completes = () => false;
  const loops = [client.results().next(), client.watch("x").next(), client.map("echo", [1]).next()].map((loop) =>
    loop.catch((error: unknown) => error),
  );
  await until(() => server.streams.size === 2 && server.watches.length === 1);
  server.stop();
  await until(() => waits.size === 3);
  await client.close();
  for (const error of await Promise.all(loops)) assert.equal((error as { reason: string }).reason, "client_closed");
  assert.equal(waits.size, 0);
});

test("the signal of a call ends its wait too, with the signal's reason", async (t) => {
  const { client, server, waits } = await setUp(t);
  server.behaviour.onUnary["run"] = () => {
    throw status({ code: 14, reason: "draining", message: "stopping", retryAfterMs: 10 });
  };
  const stop = new AbortController();
  const running = client.run("echo", 1, { signal: stop.signal });
  await until(() => waits.size === 1);
  stop.abort(new Error("enough"));
  await assert.rejects(running, { message: "enough" });
  assert.equal(waits.size, 0);
});
