import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createBacklog } from "../../src/engine/backlog.ts";
import { createSettler } from "../../src/engine/settler.ts";
import { refusal } from "../../src/errors.ts";
import { defaultRetryPolicy } from "../../src/job/backoff.ts";
import type { Settlement } from "../../src/job/job.ts";
import type { Ended } from "../../src/pool/pool.ts";
import { turn } from "../support/fake-clock.ts";
import { endedOf, failedOnce, newLease } from "../support/samples.ts";

type Call = {
  readonly settlements: readonly Settlement[];
  readonly written: Promise<unknown>;
  answer(applied?: readonly boolean[]): void;
  fail(error: unknown): void;
};

/** A settler on a store that answers when the test says so. */
function open() {
  const calls: Call[] = [];
  const events: string[] = [];
  const settled: Ended[] = [];
  const errors: unknown[] = [];
  const backlog = createBacklog({ counts: async () => ({ pools: [] }) }, new Map([["cpu", 10]]));
  const settler = createSettler({
    store: {
      settle(settlements) {
        events.push(`store ${settlements.length}`);
        const { promise, resolve, reject } = Promise.withResolvers<readonly boolean[]>();
        calls.push({
          settlements,
          written: promise,
          answer: (applied = settlements.map(() => true)) => resolve(applied),
          fail: reject,
        });
        return promise;
      },
    },
    backlog,
    policyOf: (task) => ({ ...defaultRetryPolicy, jitter: "none", baseMs: task === "slow" ? 1000 : 100 }),
    random: () => 0.5,
    hintResults: (client, channel) => void events.push(`results ${client}/${channel}`),
    hintPool: (pool, dueAt) => void events.push(`pool ${pool} at ${dueAt}`),
    onCaughtUp: () => void events.push("caught up"),
    onSettled: (ended, settlements) => {
      assert.equal(ended.length, settlements.length);
      settled.push(...ended);
    },
    onError: (error) => void errors.push(error),
  });
  return { settler, calls, events, settled, errors, backlog };
}

const jobs = (count: number) => Array.from({ length: count }, () => endedOf(newLease()));

describe("settle", () => {
  test("writes what was handed in together in one call, at once", () => {
    const { settler, calls } = open();
    settler.settle(jobs(100));
    assert.equal(calls.length, 1);
    assert.equal(calls[0]?.settlements.length, 100);
  });

  test("writes nothing for nothing", () => {
    const { settler, calls } = open();
    settler.settle([]);
    assert.deepEqual(calls, []);
  });

  test("hints each channel whose jobs became final, before the commit, and once for neighbours", () => {
    const { settler, events } = open();
    const inChannel = (channel: string) => endedOf(newLease({ channel }));
    settler.settle([inChannel("a"), inChannel("a"), inChannel("b"), endedOf(newLease({ channel: "c" }), failedOnce)]);
    assert.deepEqual(events, ["store 4", "results ada/a", "results ada/b"]);
  });

  test("tells two clients apart that use the same channel name", () => {
    const { settler, events } = open();
    settler.settle([endedOf(newLease()), endedOf(newLease({ client: "bob" }))]);
    assert.deepEqual(events.slice(1), ["results ada/default", "results bob/default"]);
  });

  test("a job that is tried again counts as waiting, and its pool is told when it is due", async () => {
    const { settler, calls, events, backlog } = open();
    const quick = endedOf(newLease(), failedOnce, { finishedAt: 5000 });
    const slow = endedOf(newLease({ task: "slow" }), failedOnce, { finishedAt: 5000 });
    settler.settle([slow, quick]);
    assert.equal(backlog.queued("cpu"), 0, "not before it is written");
    calls[0]?.answer();
    await turn();
    assert.equal(backlog.queued("cpu"), 2);
    assert.deepEqual(events.slice(1), ["pool cpu at 5100"]);
  });

  test("a stale fence puts nothing back and is not counted, its neighbours are", async () => {
    const { settler, calls, events, backlog, settled } = open();
    const [stale, good] = [endedOf(newLease(), failedOnce), endedOf(newLease(), { kind: "released" })];
    settler.settle([stale, good]);
    calls[0]?.answer([false, true]);
    await turn();
    assert.equal(backlog.queued("cpu"), 1);
    assert.deepEqual(settled, [good]);
    assert.deepEqual(events.slice(1), [`pool cpu at ${good.finishedAt}`]);
  });
});

describe("being behind", () => {
  test("begins at 4096 outcomes that are not written, and ends below, told once", async () => {
    const { settler, calls, events } = open();
    settler.settle(jobs(4095));
    assert.equal(settler.isBehind(), false);
    settler.settle(jobs(1));
    assert.equal(settler.isBehind(), true);
    settler.settle(jobs(10));
    calls[2]?.answer();
    await turn();
    assert.equal(settler.isBehind(), true);
    calls[1]?.answer();
    await turn();
    assert.equal(settler.isBehind(), false);
    calls[0]?.answer();
    await turn();
    assert.equal(events.filter((event) => event === "caught up").length, 1);
  });

  test("that never was is not told to be over", async () => {
    const { settler, calls, events } = open();
    settler.settle(jobs(5));
    calls[0]?.answer();
    await turn();
    assert.ok(!events.includes("caught up"));
  });
});

describe("flush", () => {
  test("resolves at once when nothing waits", async () => {
    await open().settler.flush();
  });

  test("waits for everything that was handed in, for each who asks", async () => {
    const { settler, calls } = open();
    const done: string[] = [];
    settler.settle(jobs(1));
    settler.settle(jobs(1));
    const flushed = ["a", "b"].map((name) => settler.flush().then(() => done.push(name)));
    calls[1]?.answer();
    await turn();
    assert.deepEqual(done, []);
    calls[0]?.answer();
    await Promise.all(flushed);
    assert.deepEqual(done, ["a", "b"]);
  });

  test("asked for in the very moment in which another ends waits for what came since", async () => {
    const { settler, calls } = open();
    settler.settle(jobs(1));
    const first = settler.flush();
    let isFlushed = false;
    const second = calls[0]?.written.then(async () => {
      // the first write is over, and the first flush does not know it yet
      settler.settle(jobs(1));
      await settler.flush();
      isFlushed = true;
    });
    calls[0]?.answer();
    await first;
    await turn();
    assert.equal(isFlushed, false);
    calls[1]?.answer();
    await second;
  });

  test("resolves too when the store fails, which is told", async () => {
    const { settler, calls, errors, settled } = open();
    settler.settle(jobs(2));
    const flushed = settler.flush();
    const error = refusal("store_failed", ["disk full"]);
    calls[0]?.fail(error);
    await flushed;
    assert.deepEqual(errors, [error]);
    assert.deepEqual(settled, []);
    assert.equal(settler.isBehind(), false);
  });
});
