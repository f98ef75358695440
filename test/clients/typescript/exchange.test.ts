import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  type CancelAnswer,
  createConnection,
  type ExchangeOptions,
  type Job,
  job,
  openExchange,
} from "../../../clients/typescript/index.ts";
import type { Receipt, Result } from "../../../src/gen/millpond/v1/job_pb.ts";
import type { ExchangeRequest } from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import { type Behaviour, startFakeServer } from "./fake-server.ts";
import { until } from "./fixtures.ts";

const quiet = { onAccepted: () => undefined, onResults: () => undefined };

async function open(t: TestContext, options: ExchangeOptions<Job> = quiet, behaviour: Partial<Behaviour> = {}) {
  const server = await startFakeServer(behaviour);
  const connection = createConnection({ address: server.address, keepaliveMs: 0 });
  t.after(() => {
    connection.close();
    server.stop();
  });
  return { server, connection, exchange: await openExchange<Job>(connection, options) };
}

test("jobs come back with their receipts, then with results, and the stream ends well", async (t) => {
  const accepted: [Job, Receipt | undefined][] = [];
  const got: Result[] = [];
  const { exchange, server } = await open(t, {
    channel: "bench",
    maxUnacked: 10,
    onAccepted: (jobs, receipts) =>
      accepted.push(...jobs.map((one, at): [Job, Receipt | undefined] => [one, receipts[at]])),
    onResults: (results, cursor) => {
      got.push(...results);
      assert.ok(exchange.ack(cursor));
    },
  });
  const jobs = Array.from({ length: 25 }, () => job("echo", "x"));
  assert.equal(exchange.submit(jobs), 25);
  await until(() => got.length === 25);
  exchange.end();
  await exchange.closed;
  assert.deepEqual(
    accepted.map(([one, receipt]) => [one, receipt?.receipt.value]),
    jobs.map((one) => [one, one.spec.id]),
  );
  assert.equal(server.acked.get("bench"), 25);
  assert.equal(exchange.submit(jobs), 0, "nothing is taken after the end");
  assert.equal(exchange.ack(25), false);
});

test("inputs are sent about a mebibyte at a time, and never more jobs than the server takes", async (t) => {
  const { exchange, server } = await open(t, quiet, { maxMessageBytes: 4 * 1024 * 1024, completes: () => false });
  const large = Array.from({ length: 4 }, () => job("echo", new Uint8Array(400 * 1024)));
  const small = Array.from({ length: 250 }, () => job("echo", 1));
  assert.equal(exchange.submit([...large, ...small]), 254);
  await until(() => server.jobs.size === 254);
  assert.deepEqual(server.batches, [2, 100, 100, 52]);
});

test("no message has more values than the server takes, and a job that has more alone is not even sent", async (t) => {
  const refused: [unknown, Receipt["receipt"]][] = [];
  const { exchange, server } = await open(
    t,
    {
      ...quiet,
      onAccepted: (jobs, receipts) => {
        for (const [at, { receipt }] of receipts.entries())
          if (receipt.case === "refusal") refused.push([jobs[at], receipt]);
      },
    },
    { maxValues: 1_000, completes: () => false },
  );
  const list = (length: number) => job("echo", Array<number>(length).fill(1));
  const large = list(1_000);
  assert.equal(exchange.submit([list(400), list(400), list(100), large, list(900)]), 5);
  await until(() => server.jobs.size === 4 && refused.length === 1);
  assert.deepEqual(server.batches, [3, 1]);
  const [[refusedJob, receipt] = []] = refused;
  assert.equal(refusedJob, large);
  assert.ok(receipt?.case === "refusal");
  assert.equal(receipt.value.reason, "too_many_values");
  assert.match(receipt.value.message, /has 1009 values and the limit is 1000/);
});

test("a full stream takes no more jobs until it has drained", async (t) => {
  let drained = 0;
  let resume = () => {};
  const { exchange, server } = await open(
    t,
    { ...quiet, onDrain: () => drained++ },
    {
      completes: () => false,
      maxMessageBytes: 4 * 1024 * 1024,
    },
  );
  const reading = new Promise<void>((resolve) => {
    resume = resolve;
  });
  const seen: ExchangeRequest["request"][] = [];
  server.behaviour.onRequest = (request) => seen.push(request) > 0;
  for (const stream of server.streams) stream.pauseUntil(reading);
  const jobs = Array.from({ length: 100 }, () => job("echo", new Uint8Array(1024 * 1024)));
  const taken = exchange.submit(jobs);
  assert.ok(taken < 40, `took ${taken} MiB`);
  assert.equal(exchange.submit(jobs), 0);
  assert.equal(exchange.ack(1), false);
  resume();
  await until(() => drained > 0);
  assert.ok(exchange.submit(jobs) > 0);
});

test("a stream that the server does not open in time is given up", async (t) => {
  const { connection } = await open(t);
  const silent = await startFakeServer({ onRequest: () => true });
  const other = createConnection({ address: silent.address, keepaliveMs: 0 });
  t.after(() => {
    other.close();
    silent.stop();
  });
  const cancelled = silent.cancelled();
  let expire = () => {};
  const clock = {
    now: () => 0,
    sleep: async () => undefined,
    after: (_ms: number, action: () => void) => {
      expire = action;
      return () => undefined;
    },
  };
  const opening = openExchange<Job>(other, { ...quiet, clock, openTimeoutMs: 500 });
  await until(() => silent.metadata.length === 1);
  expire();
  await assert.rejects(opening, { reason: "unreachable", message: /did not open the stream within 500 ms/ });
  await cancelled;
  connection.close();
});

test("after cancel nothing is called any more", async (t) => {
  let calls = 0;
  const count = () => {
    calls++;
  };
  const { exchange, server } = await open(t, { onAccepted: count, onResults: count, onDrain: count });
  exchange.submit([job("echo", 1)]);
  exchange.cancel();
  await assert.rejects(exchange.closed, { codeName: "CANCELLED" });
  await until(() => server.streams.size === 0);
  assert.equal(calls, 0);
});

test("jobs are cancelled a thousand at a time, and the answers come back", async (t) => {
  const answers: CancelAnswer[] = [];
  const sizes: number[] = [];
  const { exchange, server } = await open(t, {
    ...quiet,
    onCancelled: (some) => {
      sizes.push(some.length);
      answers.push(...some);
    },
  });
  const ids = Array.from({ length: 2_500 }, (_, at) => String(at));
  assert.equal(exchange.cancelJobs(ids), 2_500);
  await until(() => answers.length === 2_500);
  assert.deepEqual(sizes, [1_000, 1_000, 500]);
  assert.deepEqual(server.cancelledIds, ids);
  assert.deepEqual(answers[1], { jobId: "1", kind: "cancelled", state: "CANCELLED" });
  exchange.cancel();
  assert.equal(exchange.cancelJobs(ids), 0, "nothing is taken after the end");
});

test("a server that is about to stop says so", async (t) => {
  const said: string[] = [];
  const { exchange, server } = await open(t, { ...quiet, onDraining: (message) => said.push(message) });
  server.notice({ kind: 1, message: "slower" }, { kind: 2, message: "the server is shutting down" });
  await until(() => said.length > 0);
  assert.deepEqual(said, ["the server is shutting down"]);
  exchange.cancel();
});
