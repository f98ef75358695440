import assert from "node:assert/strict";
import { test } from "node:test";
import { createPruner } from "../../../src/engine/upkeep/pruner.ts";
import type { PruneRequest } from "../../../src/store/store.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";

const ages = { acknowledgedMs: 1000, unacknowledgedMs: 2000, deadMs: 3000 };
const retention = { ...ages, finishedJobs: 4000, finishedMiB: 3, deadJobs: 5000, deadMiB: 2 };

function open() {
  const clock = createFakeClock(1_000_000);
  const requests: PruneRequest[] = [];
  const answers: ((removed: number | Error) => void)[] = [];
  const errors: unknown[] = [];
  const pruner = createPruner({
    clock,
    retention,
    store: {
      prune(request) {
        requests.push(request);
        return new Promise((resolve, reject) => {
          answers.push((removed) => (removed instanceof Error ? reject(removed) : resolve(removed)));
        });
      },
    },
    onError: (error) => void errors.push(error),
  });
  return {
    ...{ pruner, clock, requests, errors },
    async answer(removed: number | Error) {
      answers.shift()?.(removed);
      await turn();
    },
  };
}

test("asks once a second for what each retention has let go", async () => {
  const { pruner, clock, requests, answer } = open();
  await pruner.start();
  assert.equal(requests.length, 0);
  clock.advance(1000);
  assert.deepEqual(requests, [
    {
      now: 1_001_000,
      acknowledgedBefore: 1_000_000,
      unacknowledgedBefore: 999_000,
      deadBefore: 998_000,
      maxFinished: { jobs: 4000, bytes: 3 * 2 ** 20 },
      maxDead: { jobs: 5000, bytes: 2 * 2 ** 20 },
      limit: 500,
    },
  ]);
  await answer(499);
  clock.advance(999);
  assert.equal(requests.length, 1);
  clock.advance(1);
  assert.equal(requests[1]?.acknowledgedBefore, 1_001_000);
});

test("goes on after a short rest while there is more", async () => {
  const { pruner, clock, requests, answer } = open();
  await pruner.start();
  clock.advance(1000);
  for (let step = 2; step <= 4; step += 1) {
    await answer(500);
    clock.advance(9);
    assert.equal(requests.length, step - 1);
    clock.advance(1);
    assert.equal(requests.length, step);
  }
});

test("removes few at a time while jobs come, and many when nobody waits", async () => {
  const { pruner, clock, requests, answer } = open();
  await pruner.start();
  pruner.submitted();
  clock.advance(1000);
  assert.equal(requests.at(-1)?.limit, 10);
  await answer(10);
  clock.advance(10);
  assert.equal(requests.at(-1)?.limit, 500);
});

test("removes twice as many as have ended since the step before, but at most 500", async () => {
  const { pruner, clock, requests, answer } = open();
  await pruner.start();
  for (const [ended, limit] of [
    [1, 10],
    [5, 10],
    [6, 12],
    [250, 500],
    [10_000, 500],
  ] as const) {
    pruner.ended(ended);
    clock.advance(1000);
    assert.equal(requests.at(-1)?.limit, limit);
    await answer(limit);
  }
});

test("rests for as long as a step took: no more than half of the store's time is its own", async () => {
  const { pruner, clock, requests, answer } = open();
  await pruner.start();
  clock.advance(1000);
  clock.advance(40);
  await answer(500);
  clock.advance(39);
  assert.equal(requests.length, 1);
  clock.advance(1);
  assert.equal(requests.length, 2);
});

test("never has two steps under way", async () => {
  const { pruner, clock, requests } = open();
  await pruner.start();
  clock.advance(100_000);
  assert.equal(requests.length, 1);
});

test("stop waits for the step under way, and no other follows", async () => {
  const { pruner, clock, requests, answer } = open();
  await pruner.start();
  clock.advance(1000);
  let isStopped = false;
  const stopped = pruner.stop().then(() => {
    isStopped = true;
  });
  await turn();
  assert.equal(isStopped, false);
  await answer(500);
  await stopped;
  clock.advance(100_000);
  assert.equal(requests.length, 1);
  assert.equal(clock.timers(), 0);
});

test("stop before the first step leaves no timer; of what was never started, and twice, it is safe", async () => {
  const { pruner, clock, requests } = open();
  await pruner.stop();
  await pruner.start();
  await pruner.stop();
  await pruner.stop();
  clock.advance(10_000);
  assert.equal(requests.length, 0);
  assert.equal(clock.timers(), 0);
});

test("a store that fails is reported once, and not asked again", async () => {
  const { pruner, clock, requests, errors, answer } = open();
  await pruner.start();
  clock.advance(1000);
  await answer(new Error("disk full"));
  clock.advance(100_000);
  assert.equal(requests.length, 1);
  assert.equal(errors.length, 1);
  await pruner.stop();
});
