import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Death } from "../../../src/engine/settle/alerts.ts";
import { createBacklog } from "../../../src/engine/admit/backlog.ts";
import { createSettler } from "../../../src/engine/settle/settler.ts";
import { refusal } from "../../../src/errors.ts";
import { defaultRetryPolicy } from "../../../src/job/backoff.ts";
import type { Settlement } from "../../../src/job/job.ts";
import type { Ended } from "../../../src/pool/pool.ts";
import type { Settled } from "../../../src/store/store.ts";
import { turn } from "../../support/fake-clock.ts";
import { endedOf, failedOnce, newLease } from "../../support/samples.ts";

type Call = {
  readonly settlements: readonly Settlement[];
  readonly written: Promise<unknown>;
  answer(applied?: readonly Settled[]): void;
  fail(error: unknown): void;
};

/** A settler on a store that answers when the test says so. */
function open() {
  const calls: Call[] = [];
  const events: string[] = [];
  const settled: Ended[] = [];
  const errors: unknown[] = [];
  const deaths: Death[] = [];
  let isWatched = false;
  const backlog = createBacklog({ counts: async () => ({ pools: [] }) }, new Map([["cpu", 10]]));
  const settler = createSettler({
    store: {
      settle(settlements) {
        events.push(`store ${settlements.length}`);
        const { promise, resolve, reject } = Promise.withResolvers<readonly Settled[]>();
        calls.push({
          settlements,
          written: promise,
          answer: (applied = settlements.map(() => "written" as const)) => resolve(applied),
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
    onDeath: (died) => void deaths.push(...died),
    watchers: {
      isWatched: () => isWatched,
      changed: (jobs) => void events.push(`changed ${jobs.map(({ client, id }) => `${client}/${id}`).join()}`),
    },
    onError: (error) => void errors.push(error),
  });
  const watch = () => {
    isWatched = true;
  };
  return { settler, calls, events, settled, errors, deaths, backlog, watch };
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
    calls[0]?.answer(["stale", "written"]);
    await turn();
    assert.equal(backlog.queued("cpu"), 1);
    assert.deepEqual(settled, [good]);
    assert.deepEqual(events.slice(1), [`pool cpu at ${good.finishedAt}`]);
  });
});

describe("a job that was cancelled while it ran", () => {
  test("is settled again as CANCELLED when its settlement would queue it, and never queued", async () => {
    const { settler, calls, events, backlog, settled, deaths } = open();
    settler.settle([endedOf(newLease(), failedOnce), endedOf(newLease())]);
    let isFlushed = false;
    const flushed = settler.flush().then(() => {
      isFlushed = true;
    });
    calls[0]?.answer(["cancelling", "written"]);
    await turn();
    assert.deepEqual(
      calls[1]?.settlements.map(({ state, outcome, failure }) => [state, outcome, failure?.reason]),
      [["CANCELLED", "cancelled", "cancelled"]],
    );
    assert.equal(settled.length, 1);
    assert.equal(isFlushed, false, "the second settlement is waited for too");
    calls[1]?.answer();
    await flushed;
    assert.equal(settled.length, 2);
    assert.equal(backlog.queued("cpu"), 0);
    assert.ok(events.includes("results ada/default"));
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
    const own = (retry: object) => endedOf(newLease({ attempt: 2, options: { retry } }), failedOnce, { finishedAt: 0 });
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

describe("hints", () => {
  test("go to watchers while there are any, for every job, behind the settlement", () => {
    const { settler, events, watch } = open();
    settler.settle(jobs(1));
    assert.ok(!events.some((event) => event.startsWith("changed")));
    watch();
    events.length = 0;
    const [one, two] = [newLease({ client: "bob" }), newLease()];
    settler.settle([endedOf(one, failedOnce), endedOf(two)]);
    assert.deepEqual(events, ["store 2", `changed bob/${one.id},ada/${two.id}`, "results ada/default"]);
  });

  test("do not go to readers for a job whose result is discarded", () => {
    const { settler, events } = open();
    settler.settle([endedOf(newLease({ channel: null }))]);
    assert.deepEqual(events, ["store 1"]);
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
