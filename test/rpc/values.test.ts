/** Bounds on what a message is made of, which a few bytes may hold much of: the same in every form it may come in. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { JsonValue } from "../../src/job/job.ts";
import { openServer, type TestServer, ways } from "./fixtures.ts";
import { connect, job } from "../../clients/typescript/index.ts";
import { echo, exchange, fates, json, newChannel, outputOf } from "./jobs.ts";
import { refused } from "./refused.ts";

let server: TestServer;
before(async () => {
  server = await openServer();
});
after(() => server.remove());

const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);

const deep = (levels: number): JsonValue =>
  levels === 0 ? 1 : levels % 2 === 0 ? [deep(levels - 1)] : { a: deep(levels - 1) };

test("results with many values come in as many responses as the bound on values asks for", async () => {
  const client = server.client(ways.grpc);
  const value = Array<number>(7_000).fill(1);
  const channel = newChannel();
  for (let job = 0; job < 5; job += 1) await client.run({ job: echo(value, { channel }), detach: true });

  const byResults: number[] = [];
  for await (const { results } of client.results({ channel, stopAtEnd: true })) byResults.push(results.length);
  assert.deepEqual([Math.max(...byResults), sum(byResults)], [2, 5]);

  const byExchange: number[] = [];
  const stream = exchange(client, { channel });
  while (sum(byExchange) < 5) {
    const { results } = await stream.next("results");
    assert.deepEqual(results.map(outputOf), Array(results.length).fill(value));
    byExchange.push(results.length);
  }
  stream.cut();
  assert.deepEqual([Math.max(...byExchange), sum(byExchange)], [2, 5]);
});

test("a job whose output has more values than a message may have fails for good, and says so", async () => {
  const { result } = await server.client(ways.grpc).run({ job: { task: "blob", input: json({ values: 20_001 }) } });
  assert.equal(result?.failure?.reason, "output_too_large");
  assert.equal(result.attempts, 1);
  assert.match(result.failure.message, /^the output has 20002 values and the limit is 20000: .*limits\.values$/);
});

test("the client splits what it sends by values, in submitAll and in map", async () => {
  const client = connect({ address: server.grpcAddress, client: "splits" });
  try {
    const input = Array.from({ length: 4_000 }, (_, index) => index);
    const receipts = await client.submitAll(Array.from({ length: 12 }, () => job("echo", input)));
    assert.ok(receipts.every(({ jobId }) => jobId !== undefined));
    let done = 0;
    for await (const { result } of client.map("echo", Array(12).fill(input))) {
      assert.deepEqual(result?.output, input);
      done += 1;
    }
    assert.equal(done, 12);
  } finally {
    await client.close();
  }
});

for (const way of Object.values(ways)) {
  describe(`over ${way.name}`, () => {
    const client = () => server.client(way);

    test("more values than a message may have are refused, however few bytes they take, and the next call is served", async () => {
      const full = await client().submit({ jobs: [echo(Array<null>(19_990).fill(null))] });
      assert.deepEqual(fates(full.receipts), ["accepted"]);
      for (const value of [
        Array<null>(20_100).fill(null),
        Object.fromEntries(Array.from({ length: 10_050 }, (_, index) => [index.toString(36), 0])),
      ]) {
        const error = await refused(client().submit({ jobs: [echo(value)] }));
        assert.deepEqual([error.code, error.reason], ["ResourceExhausted", "too_many_values"]);
        assert.match(error.message, /has 201\d\d values and the limit is 20000: .* limits\.values$/);
      }
      const error = await refused(client().cancelJobs({ jobIds: Array<string>(25_000).fill("") }));
      assert.equal(error.reason, "too_many_values");
      assert.deepEqual(fates((await client().submit({ jobs: [echo("next")] })).receipts), ["accepted"]);
    });

    test("an input nested too deep is refused with its path, and its neighbours are taken", async () => {
      const { receipts } = await client().submit({ jobs: [echo(deep(31)), echo(deep(30)), echo(deep(90))] });
      assert.deepEqual(fates(receipts), ["invalid_argument", "accepted", "invalid_argument"]);
      for (const [index, path] of [
        [0, /^input(?:\.a\[0\]){15}$/],
        [2, /^input(?:\[0\]\.a){15}$/],
      ] as const) {
        const receipt = receipts[index]?.receipt;
        assert.ok(receipt?.case === "refusal");
        const [violation] = receipt.value.fieldViolations;
        assert.match(violation?.field ?? "", path);
        assert.match(violation?.description ?? "", /^is nested deeper than 30 levels/);
      }
    });
  });
}
