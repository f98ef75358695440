/** Bounds on what a message is made of, which a few bytes may hold much of: the same in every form it may come in. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { JsonValue } from "../../src/job/job.ts";
import { openServer, type TestServer, ways } from "./fixtures.ts";
import { echo, fates } from "./jobs.ts";
import { refused } from "./refused.ts";

let server: TestServer;
before(async () => {
  server = await openServer();
});
after(() => server.remove());

const deep = (levels: number): JsonValue =>
  levels === 0 ? 1 : levels % 2 === 0 ? [deep(levels - 1)] : { a: deep(levels - 1) };

for (const way of Object.values(ways)) {
  describe(`over ${way.name}`, () => {
    const client = () => server.client(way);

    test("more values than a message may have are refused, however few bytes they take, and the next call is served", async () => {
      const full = await client().submit({ jobs: [echo(Array<null>(19_990).fill(null))] });
      assert.deepEqual(fates(full.receipts), ["accepted"]);
      for (const value of [
        Array<null>(20_100).fill(null),
        Object.fromEntries(Array.from({ length: 20_100 }, (_, index) => [index.toString(36), 0])),
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
