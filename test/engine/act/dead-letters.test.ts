import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createBacklog } from "../../../src/engine/admit/backlog.ts";
import { createDeadLetters } from "../../../src/engine/act/dead-letters.ts";
import { createKeyedMutex } from "../../../src/engine/keyed-mutex.ts";
import type { NewJob } from "../../../src/job/job.ts";
import { createMemoryStore } from "../../../src/store/memory.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { anyJob, everything, finish, newJobs, t0, submit } from "../../store/sample.ts";

const failure = { reason: "busy", message: "no", retryable: true };

/** A store in which these jobs are DEAD. */
async function open(dead: readonly NewJob[] = []) {
  const store = createMemoryStore();
  for (let start = 0; start < dead.length; start += 1_000) {
    const page = dead.slice(start, start + 1_000);
    await finish(store, page, { state: "DEAD", outcome: "failed", deadReason: "exhausted", failure, output: null });
  }
  const backlog = createBacklog(store, new Map([["cpu", 1_000_000]]));
  const counted: string[] = [];
  const deadLetters = createDeadLetters({
    ...{ store, perClient: createKeyedMutex(), backlog, clock: createFakeClock(t0) },
    stats: { redriven: (pool) => void counted.push(pool) },
  });
  /** When those submitted last, a thousand of them, are due. */
  const due = async (filter = anyJob) => {
    const { jobs } = await store.list({ ...everything, filter });
    return jobs.map(({ runAt }) => runAt - t0).toReversed();
  };
  return { store, backlog, deadLetters, counted, due };
}

const idsOf = (jobs: readonly NewJob[]) => jobs.map(({ id }) => id);
const sweep = (overrides = {}) => ({ dryRun: false, signal: new AbortController().signal, ...overrides });

describe("redrive by id", () => {
  test("jobs wait again, and are counted", async () => {
    const jobs = newJobs(3);
    const { deadLetters, backlog, counted, store } = await open(jobs);
    const answers = await deadLetters.redrive("ada", idsOf(jobs), 0);
    assert.ok(answers.every(({ kind }) => kind === "redriven"));
    assert.equal(backlog.queued("cpu"), 3);
    assert.deepEqual(counted, ["cpu", "cpu", "cpu"]);
    assert.equal((await store.counts()).pools[0]?.QUEUED, 3);
  });

  test("they become due so many a second", async () => {
    const jobs = newJobs(4);
    const { deadLetters, due } = await open(jobs);
    await deadLetters.redrive("ada", idsOf(jobs), 4);
    assert.deepEqual(await due(), [0, 250, 500, 750]);
  });

  test("each has an answer of its own, and only those redriven wait", async () => {
    const jobs = newJobs(1);
    const { deadLetters, store, backlog } = await open(jobs);
    const [waiting] = newJobs(1);
    await submit(store, [waiting!]);
    const answers = await deadLetters.redrive("ada", ["nowhere", waiting!.id, jobs[0]!.id, jobs[0]!.id], 0);
    assert.deepEqual(
      answers.map((answer) => [answer.kind, "state" in answer ? answer.state : null]),
      [
        ["not_found", null],
        ["not_dead", "QUEUED"],
        ["redriven", null],
        ["not_dead", "QUEUED"],
      ],
    );
    assert.equal(backlog.queued("cpu"), 1);
  });
});

describe("redrive by filter", () => {
  test("every DEAD job that matches, over many pages, spread as one", async () => {
    const { deadLetters, backlog, due } = await open([...newJobs(1_500), ...newJobs(10, { task: "other" })]);
    const filter = { ...anyJob, task: "echo" };
    const counts = await deadLetters.redriveWhere("ada", filter, { ...sweep(), perSecond: 10 });
    assert.deepEqual(counts, { matched: 1_500, redriven: 1_500 });
    assert.equal(backlog.queued("cpu"), 1_500);
    assert.deepEqual(
      await due(filter),
      Array.from({ length: 1_000 }, (_, index) => (500 + index) * 100),
    );
  });

  test("a dry run only counts", async () => {
    const { deadLetters, counted } = await open(newJobs(5));
    const counts = await deadLetters.redriveWhere("ada", anyJob, { ...sweep({ dryRun: true }), perSecond: 0 });
    assert.deepEqual(counts, { matched: 5, redriven: 0 });
    assert.deepEqual(counted, []);
  });

  test("who is gone before has nothing redriven", async () => {
    const { deadLetters } = await open(newJobs(5));
    const options = { ...sweep({ signal: AbortSignal.abort() }), perSecond: 0 };
    assert.deepEqual(await deadLetters.redriveWhere("ada", anyJob, options), { matched: 0, redriven: 0 });
  });
});

describe("remove", () => {
  test("by id: final jobs of any state, each with an answer of its own", async () => {
    const jobs = newJobs(1);
    const { deadLetters, store } = await open(jobs);
    const [waiting] = newJobs(1);
    await submit(store, [waiting!]);
    const answers = await deadLetters.remove("ada", [jobs[0]!.id, waiting!.id, "nowhere"]);
    assert.deepEqual(
      answers.map(({ kind }) => kind),
      ["removed", "not_final", "not_found"],
    );
  });

  test("by filter: every DEAD job that matches, and nothing that is not DEAD", async () => {
    const { deadLetters, store } = await open([...newJobs(1_100), ...newJobs(3, { task: "other" })]);
    await submit(store, newJobs(2));
    const filter = { ...anyJob, task: "echo" };
    assert.deepEqual(await deadLetters.removeWhere("ada", filter, sweep({ dryRun: true })), {
      matched: 1_100,
      removed: 0,
    });
    assert.deepEqual(await deadLetters.removeWhere("ada", filter, sweep()), { matched: 1_100, removed: 1_100 });
    const { DEAD, QUEUED } = (await store.counts()).pools[0] ?? {};
    assert.deepEqual([DEAD, QUEUED], [3, 2]);
  });
});
