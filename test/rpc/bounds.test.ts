/** What one request may ask of the server is bounded, however much fits into a message. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openServer, type PoolClient, type TestServer, ways } from "./fixtures.ts";
import { echo } from "./jobs.ts";
import { refused } from "./refused.ts";

let server: TestServer;
let client: PoolClient;
before(async () => {
  server = await openServer();
  client = server.client(ways.grpc, "eve");
});
after(() => server.remove());

for (const [field, filter] of [
  ['filter.labels["a"]', { labels: { a: "x".repeat(201) } }],
  ["filter.task", { task: "x".repeat(201) }],
  ["filter.pool", { pool: "x".repeat(201) }],
  ["filter.channel", { channel: "x".repeat(201) }],
  ["filter.failure_reason", { failureReason: "x".repeat(201) }],
] as const) {
  test(`${field} is refused when no job could have it: each row would be compared with it`, async () => {
    const request = { filter, dryRun: true };
    for (const call of [
      () => client.redriveJobs(request),
      () => client.deleteJobs(request),
      () => client.listDeadLetters({ filter }),
    ]) {
      const error = await refused(call());
      assert.deepEqual([error.code, error.fields], ["InvalidArgument", [field]]);
    }
  });
}

test("after_event beyond all numbers that JavaScript counts with is refused", async () => {
  const { result } = await client.run({ job: echo("x") });
  const watch = client.watchJob({ jobId: result?.jobId ?? "", afterEvent: 2n ** 64n - 1n })[Symbol.asyncIterator]();
  const error = await refused(watch.next());
  assert.deepEqual([error.code, error.fields], ["InvalidArgument", ["after_event"]]);
});
