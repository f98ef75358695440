import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Death } from "../../../src/engine/settle/alerts.ts";
import { createBacklog } from "../../../src/engine/admit/backlog.ts";
import { createSettler } from "../../../src/engine/settle/settler.ts";
import { isUnavailable, refusal } from "../../../src/errors.ts";
import { defaultRetryPolicy } from "../../../src/job/backoff.ts";
import type { Failure } from "../../../src/job/job.ts";
import { decodeResult } from "../../../src/job/ending.ts";
import type { Ended } from "../../../src/pool/pool.ts";
import type { Settled, Settling } from "../../../src/store/store.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";
import { endedOf, failedOnce, keptLog, newLease } from "../../support/samples.ts";

type Call = {
  readonly settlements: readonly Settling["settlement"][];
  readonly failures: readonly (Failure | null)[];
  readonly written: Promise<unknown>;
  answer(applied?: readonly Settled[]): void;
  fail(error: unknown): void;
};

const leaseMs = 30_000;
const retryMs = 1_000;
const away = () => refusal("store_unavailable", ["the connection was closed", retryMs], { retryAfterMs: retryMs });

/** A settler on a store that answers when the test says so. */
function open() {
  const calls: Call[] = [];
  const events: string[] = [];
  const settled: Ended[] = [];
  const errors: unknown[] = [];
  const deaths: Death[] = [];
  const clock = createFakeClock();
  const { log, lines } = keptLog();
  const backlog = createBacklog({ counts: async () => ({ pools: [] }) }, new Map([["cpu", 10]]));
  const settler = createSettler({
    store: {
      settle(attempts) {
        const settlements = attempts.map(({ settlement }) => settlement);
        const { promise, resolve, reject } = Promise.withResolvers<readonly Settled[]>();
        calls.push({
          settlements,
          failures: attempts.map(({ ending }) => ending && decodeResult(ending, 0).failure),
          written: promise,
          answer: (applied = settlements.map(() => "written" as const)) => resolve(applied),
          fail: reject,
        });
        return promise;
      },
    },
    ...{ backlog, clock, leaseMs, log },
    policyOf: (task) => ({ ...defaultRetryPolicy, jitter: "none", baseMs: task === "slow" ? 1000 : 100 }),
    random: () => 0.5,
    onCaughtUp: () => void events.push("caught up"),
    onSettled: (ended, settlements) => {
      assert.equal(ended.length, settlements.length);
      settled.push(...ended);
    },
    onDeath: (died) => void deaths.push(...died),
    onError(error) {
      errors.push(error);
      return isUnavailable(error) ? retryMs : undefined;
    },
  });
  return { settler, clock, calls, events, settled, errors, deaths, backlog, lines };
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

  test("an attempt whose end is not written counts as unwritten in its pool until it is queued again or final", async () => {
    const { settler, calls, backlog } = open();
    settler.settle([endedOf(newLease(), failedOnce), endedOf(newLease()), endedOf(newLease({ pool: "io" }))]);
    assert.deepEqual([settler.unwritten("cpu"), settler.unwritten("io"), backlog.queued("cpu")], [2, 1, 0]);
    calls[0]?.answer();
    await calls[0]?.written;
    await turn();
    assert.deepEqual([settler.unwritten("cpu"), settler.unwritten("io"), backlog.queued("cpu")], [0, 0, 1]);
  });

  test("a job that will be queued again counts as returning until that is written", async () => {
    const { settler, calls, backlog } = open();
    settler.settle([endedOf(newLease(), { kind: "released" }), endedOf(newLease()), endedOf(newLease({ pool: "io" }))]);
    assert.deepEqual([settler.unwritten("cpu"), settler.returning("cpu"), settler.returning("io")], [2, 1, 0]);
    calls[0]?.answer();
    await turn();
    assert.deepEqual([settler.unwritten("cpu"), settler.returning("cpu"), backlog.queued("cpu")], [0, 0, 1]);
  });

  test("a job that is tried again counts as waiting once that is written", async () => {
    const { settler, calls, backlog } = open();
    const quick = endedOf(newLease(), failedOnce, { finishedAt: 5000 });
    const slow = endedOf(newLease({ task: "slow" }), failedOnce, { finishedAt: 5000 });
    settler.settle([slow, quick]);
    assert.equal(backlog.queued("cpu"), 0, "not before it is written");
    calls[0]?.answer();
    await turn();
    assert.equal(backlog.queued("cpu"), 2);
  });

  test("a stale fence puts nothing back and is not counted, its neighbours are", async () => {
    const { settler, calls, backlog, settled } = open();
    const [stale, good] = [endedOf(newLease(), failedOnce), endedOf(newLease(), { kind: "released" })];
    settler.settle([stale, good]);
    calls[0]?.answer(["stale", "written"]);
    await turn();
    assert.equal(backlog.queued("cpu"), 1);
    assert.deepEqual(settled, [good]);
  });
});

describe("a job that was cancelled while it ran", () => {
  test("is settled again as CANCELLED when its settlement would queue it, and never queued", async () => {
    const { settler, calls, backlog, settled, deaths } = open();
    settler.settle([endedOf(newLease(), failedOnce), endedOf(newLease())]);
    let isFlushed = false;
    const flushed = settler.flush().then(() => {
      isFlushed = true;
    });
    calls[0]?.answer(["cancelling", "written"]);
    await turn();
    assert.deepEqual(
      calls[1]?.settlements.map(({ state, outcome }, index) => [state, outcome, calls[1]?.failures[index]?.reason]),
      [["CANCELLED", "cancelled", "cancelled"]],
    );
    assert.equal(settled.length, 1);
    assert.equal(isFlushed, false, "the second settlement is waited for too");
    calls[1]?.answer();
    await flushed;
    assert.equal(settled.length, 2);
    assert.equal(backlog.queued("cpu"), 0);
    assert.deepEqual(deaths, []);
  });

  test("and was given back is CANCELLED with its attempt not counted", async () => {
    const { settler, calls } = open();
    settler.settle([endedOf(newLease({ attempt: 2 }), { kind: "released" })]);
    calls[0]?.answer(["cancelling"]);
    await turn();
    const [{ state, attempt, startedAt } = {}] = calls[1]?.settlements ?? [];
    assert.deepEqual([state, attempt, startedAt], ["CANCELLED", 1, null]);
    calls[1]?.answer();
  });
});

describe("a job's own retry policy", () => {
  test("goes before its task's, and what it does not name is the task's", () => {
    const { settler, calls } = open();
    const own = (retry: object) => endedOf(newLease({ attempt: 2, retry }), failedOnce, { finishedAt: 0 });
    settler.settle([own({ baseMs: 7 }), own({ factor: 5 }), own({})]);
    assert.deepEqual(
      calls[0]?.settlements.map(({ runAt }) => runAt),
      [14, 500, 200],
    );
  });
});

describe("deaths", () => {
  test("are told once they are written, with why and when", async () => {
    const { settler, calls, deaths } = open();
    const failure = { reason: "bad_input", message: "no", retryable: false };
    const lease = newLease({ attempt: 3 });
    settler.settle([endedOf(lease, { kind: "failed", failure }, { finishedAt: 77 }), endedOf(newLease())]);
    assert.deepEqual(deaths, []);
    calls[0]?.answer();
    await turn();
    const { id, client, task, pool, fence, trace } = lease;
    assert.deepEqual(deaths, [
      { id, client, task, pool, deadReason: "permanent", failure, attempts: 3, fence, trace, at: 77 },
    ]);
  });

  test("of a stale settlement are not told", async () => {
    const { settler, calls, deaths } = open();
    settler.settle([endedOf(newLease({ attempt: 4 }), failedOnce)]);
    calls[0]?.answer(["stale"]);
    await turn();
    assert.deepEqual(deaths, []);
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

describe("while the store does not answer", () => {
  test("outcomes are held from their first write on, so that their leases are renewed", async () => {
    const { settler, calls } = open();
    const [one, other] = [endedOf(newLease()), endedOf(newLease())];
    settler.settle([one]);
    settler.settle([other]);
    assert.deepEqual(settler.held(), [one.lease, other.lease]);
    calls[0]?.answer();
    calls[1]?.fail(new Error("gone"));
    await settler.flush();
    assert.deepEqual(settler.held(), []);
  });
});

describe("while the store is unavailable", () => {
  test("outcomes wait, are tried again together, and count when they are written", async () => {
    const { settler, clock, calls, settled } = open();
    const [first, second, third] = [endedOf(newLease()), endedOf(newLease()), endedOf(newLease())];
    settler.settle([first]);
    settler.settle([second]);
    calls[0]?.fail(away());
    calls[1]?.fail(away());
    await turn();
    settler.settle([third]);
    assert.equal(calls.length, 2, "what comes meanwhile waits behind them");
    assert.deepEqual([settler.unwritten("cpu"), settler.held().length], [3, 3]);
    clock.advance(retryMs);
    assert.deepEqual(
      calls[2]?.settlements.map(({ seq }) => seq),
      [first, second, third].map(({ lease }) => lease.seq),
    );
    calls[2]?.fail(away());
    await turn();
    clock.advance(retryMs);
    calls[3]?.answer();
    await settler.flush();
    assert.deepEqual(settled, [first, second, third]);
    assert.deepEqual([settler.unwritten("cpu"), settler.held()], [0, []]);
    settler.settle([endedOf(newLease())]);
    assert.equal(calls.length, 5, "and the next goes at once again");
  });

  test("outcomes are given up when their leases have ended, and not before", async () => {
    const { settler, clock, calls, settled, lines } = open();
    settler.settle(jobs(2));
    calls[0]?.fail(away());
    await turn();
    clock.advance(retryMs);
    settler.settle(jobs(3));
    for (let call = 1; clock.monotonicMs() < leaseMs; call += 1) {
      calls[call]?.fail(away());
      await turn();
      clock.advance(retryMs);
    }
    calls.at(-1)?.answer();
    await settler.flush();
    assert.equal(settled.length, 3);
    assert.deepEqual(
      lines.map(({ fields }) => fields),
      [{ jobs: 2 }],
    );
  });

  test("those are given up whose leases have ended, in whatever order their writes failed", async () => {
    const { settler, clock, calls, settled, lines } = open();
    settler.settle(jobs(1));
    clock.advance(leaseMs / 2);
    settler.settle(jobs(1));
    calls[1]?.fail(away());
    await turn();
    calls[0]?.fail(away());
    await turn();
    for (let call = 2; lines.length === 0; call += 1) {
      clock.advance(retryMs);
      calls[call]?.fail(away());
      await turn();
    }
    assert.equal(clock.monotonicMs(), leaseMs);
    clock.advance(retryMs);
    calls.at(-1)?.answer();
    await settler.flush();
    assert.equal(settled.length, 1);
  });

  test("outcomes that wait count for the bound, and it ends when they are given up", async () => {
    const { settler, clock, calls, events } = open();
    settler.settle(jobs(4_096));
    calls[0]?.fail(away());
    await turn();
    assert.equal(settler.isBehind(), true);
    for (let call = 1; settler.isBehind(); call += 1) {
      clock.advance(retryMs);
      calls[call]?.fail(away());
      await turn();
    }
    assert.equal(clock.monotonicMs(), leaseMs);
    assert.deepEqual(events, ["caught up"]);
    await settler.flush();
  });

  test("an outcome that was written although its call failed is refused the second time, and nothing else happens", async () => {
    const { settler, clock, calls, settled, backlog } = open();
    settler.settle([endedOf(newLease(), failedOnce)]);
    calls[0]?.fail(away());
    await turn();
    clock.advance(retryMs);
    calls[1]?.answer(["stale"]);
    await settler.flush();
    assert.deepEqual([settled, backlog.queued("cpu")], [[], 0]);
  });
});
