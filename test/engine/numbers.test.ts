import assert from "node:assert/strict";
import { test } from "node:test";
import { createBacklog } from "../../src/engine/admit/backlog.ts";
import { createNumbers, type NumbersParts } from "../../src/engine/numbers.ts";
import { createFakeClock } from "../support/fake-clock.ts";

function open() {
  const clock = createFakeClock();
  const has = { jobs: 0, asked: 0 };
  const store: NumbersParts["store"] = {
    counts: async () => ({ pools: [] }),
    oldest: async () => [],
    eligible: async ({ pools }) => {
      has.asked += pools.length;
      return pools.map(({ max }) => ({ jobs: Math.min(has.jobs, max), oldestAt: null }));
    },
    size: async () => ({ bytes: 0, freeBytes: 0 }),
  };
  const dispatcher = { waiting: () => [], isPaused: () => false };
  const pools = [{ pool: { name: "io" }, dispatcher, suspects: { dispatcher } }] as unknown as NumbersParts["pools"];
  const numbers = createNumbers({
    ...{
      store,
      clock,
      pools,
      running: () => 0,
      returning: () => 0,
      decisions: () => [],
      backlog: createBacklog(store, new Map()),
    },
    overrides: () => ({ pause: null, resize: null }),
  });
  const eligible = async () => (await numbers.stored()).pools[0]?.eligible;
  return { clock, has, eligible };
}

test("due jobs are counted for each question while they are few", async () => {
  const { has, eligible } = open();
  for (has.jobs = 997; has.jobs < 1_000; has.jobs += 1) assert.equal(await eligible(), has.jobs);
  assert.equal(has.asked, 3);
});

test("a large number of due jobs is given again for a second, and counted up to 10,000", async () => {
  const { clock, has, eligible } = open();
  has.jobs = 12_000;
  assert.equal(await eligible(), 10_000);
  has.jobs = 5;
  clock.advance(999);
  assert.deepEqual([await eligible(), await eligible(), has.asked], [10_000, 10_000, 1]);
  clock.advance(1);
  assert.deepEqual([await eligible(), has.asked], [5, 2]);
});
