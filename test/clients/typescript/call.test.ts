import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, MillpondClientError, sleep } from "../../../clients/typescript/index.ts";
import { startFakeServer } from "./fake-server.ts";
import { bareStatus, createFakeClock, start, status } from "./fixtures.ts";
import { startHttpPort } from "../../support/http-port.ts";

const queueFull = { code: 8, reason: "queue_full", message: 'pool "cpu" holds 10 jobs' };
const empty = () => ({});

test("the client's name goes with every call", async (t) => {
  const { client, server } = await start(t, { onUnary: { stats: empty } }, { client: "thumbnails" });
  await client.stats();
  await client.map("echo", [1]).next();
  assert.deepEqual(
    server.metadata.map((sent) => sent.get("millpond-client")),
    [["thumbnails"], ["thumbnails"]],
  );
});

test("an error tells its reason, code, advice and fields", async (t) => {
  const violations = [{ field: "input.width", description: "is 9000, at most 4000" }];
  const { client } = await start(t, {
    onUnary: {
      getJob: () => {
        throw status({ code: 3, reason: "invalid_argument", message: "input.width: is 9000", violations });
      },
    },
  });
  const error = await client.getJob("x").catch((caught: unknown) => caught);
  assert.ok(error instanceof MillpondClientError);
  assert.equal(error.reason, "invalid_argument");
  assert.equal(error.code, 3);
  assert.equal(error.codeName, "INVALID_ARGUMENT");
  assert.equal(error.message, "input.width: is 9000");
  assert.equal(error.retryAfterMs, undefined);
  assert.deepEqual(error.violations, violations);
});

test("a call that is refused for now is repeated after the server's delay", async (t) => {
  let calls = 0;
  const { client, slept } = await start(t, {
    onUnary: {
      stats: () => {
        if (++calls <= 2) throw status({ ...queueFull, retryAfterMs: calls * 1_500 });
        return {};
      },
    },
  });
  await client.stats();
  assert.deepEqual(slept, [1_500, 3_000]);
});

test("a call is repeated at most `retries` times, each delay drawn from twice the range", async (t) => {
  let calls = 0;
  const onUnary = {
    stats: () => {
      calls++;
      throw status({ code: 14, reason: "draining", message: "the server is shutting down" });
    },
  };
  const { client, slept } = await start(t, { onUnary }, { retries: 7 });
  await assert.rejects(client.stats(), { reason: "draining", codeName: "UNAVAILABLE" });
  assert.equal(calls, 8);
  assert.deepEqual(slept, [50, 100, 200, 400, 800, 1_600, 2_500]);
});

test("a delay beyond the deadline is not begun", async (t) => {
  const onUnary = {
    stats: () => {
      throw status({ ...queueFull, retryAfterMs: 6_000 });
    },
  };
  const { client, slept } = await start(t, { onUnary }, { deadlineMs: 10_000 });
  await assert.rejects(client.stats(), { reason: "queue_full", retryAfterMs: 6_000 });
  assert.deepEqual(slept, [6_000]);
});

test("a refusal without advice is not repeated", async (t) => {
  const onUnary = {
    stats: () => {
      throw status({ ...queueFull, reason: "input_too_large" });
    },
  };
  const { client, slept } = await start(t, { onUnary });
  await assert.rejects(client.stats(), { reason: "input_too_large", codeName: "RESOURCE_EXHAUSTED" });
  assert.deepEqual(slept, []);
});

test("a deadline longer than timers can hold does not fail the call", async (t) => {
  const { client } = await start(t, { onUnary: { stats: empty } }, { deadlineMs: 365 * 24 * 3_600_000 });
  assert.equal((await client.stats()).uptimeMs, 0);
});

test("where no server runs, the error names the address and says what to check", async () => {
  const { address, stop } = await startFakeServer();
  stop();
  const { clock, slept } = createFakeClock();
  const client = connect({ address, clock, retries: 2 });
  for (const use of [() => client.stats(), () => client.map("echo", [1]).next(), () => client.results().next()]) {
    const error: unknown = await use().catch((caught: unknown) => caught);
    assert.ok(error instanceof MillpondClientError);
    assert.equal(error.reason, "unreachable");
    assert.ok(error.message.includes(`no server answers at ${address}: check that it runs`), error.message);
    assert.ok(error.cause instanceof Error && error.cause.message.includes("ECONNREFUSED"));
  }
  assert.equal(slept.length, 6);
  await client.close();
});

test("a closed client refuses calls, and closing twice is safe", async (t) => {
  const { client } = await start(t);
  await client.close();
  await client.close();
  for (const use of [() => client.stats(), () => client.results().next(), () => client.map("echo", [1]).next()]) {
    await assert.rejects(use, { reason: "client_closed" });
  }
});

test("submit gives the id, chosen by the client, also when the first answer was lost", async (t) => {
  let isLost = true;
  const { client, server } = await start(t);
  const take = (request: { jobs: { id: string }[] }) => {
    const id = request.jobs[0]?.id ?? "";
    const isRepeated = server.submitted.has(id);
    server.submitted.set(id, 1);
    if (isLost) {
      isLost = false;
      throw bareStatus(14, "connection dropped");
    }
    return { receipts: [{ receipt: { case: isRepeated ? "duplicateOf" : "jobId", value: id } }] };
  };
  server.behaviour.onUnary["submit"] = take as never;
  const id = await client.submit(sleep, { durationMs: 1 }, { channel: "web" });
  assert.deepEqual([...server.submitted.keys()], [id]);
});

test("submit throws what the server refuses", async (t) => {
  const onUnary = {
    submit: () => {
      throw status({ code: 5, reason: "unknown_task", message: 'no task is named "slep"' });
    },
  };
  const { client } = await start(t, { onUnary });
  await assert.rejects(client.submit("slep", {}), { reason: "unknown_task", codeName: "NOT_FOUND" });
});

test("where a port speaks HTTP/1.1 only, the error says so at once, and where gRPC is", async (t) => {
  const address = await startHttpPort(t);
  const { clock, slept } = createFakeClock();
  const client = connect({ address, clock, retries: 2 });
  const message = `${address} is an HTTP/1.1 port, such as Millpond's HTTP port: gRPC is on another, 7717 by default`;
  for (const use of [() => client.stats(), () => client.map("echo", [1]).next(), () => client.results().next()]) {
    await assert.rejects(use, { reason: "wrong_port", codeName: "UNAVAILABLE", message });
  }
  assert.deepEqual(slept, []);
  await client.close();
});
