import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createBacklog } from "../../../src/engine/admit/backlog.ts";
import { createCanceller } from "../../../src/engine/act/cancel.ts";
import { createKeyedMutex } from "../../../src/engine/keyed-mutex.ts";
import type { NewJob } from "../../../src/job/job.ts";
import { createMemoryStore } from "../../../src/store/memory.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { anyJob, leaseAll, newJobs, t0, submit } from "../../store/sample.ts";

async function open(jobs: readonly NewJob[] = []) {
  const store = createMemoryStore();
  await submit(store, jobs);
  const backlog = createBacklog(store, new Map([["cpu", 1_000_000]]));
  await backlog.load();
  const stopped: string[] = [];
  const counted: string[] = [];
  const traced: string[] = [];
  const canceller = createCanceller({
    ...{ store, perClient: createKeyedMutex(), backlog, clock: createFakeClock(t0) },
    stats: { cancelled: (client, { task, pool }) => void counted.push(`${client}/${task}/${pool}`) },
    tracing: { cancelled: (cancelled) => void traced.push(...cancelled.map(({ client, id }) => `${client}/${id}`)) },
    stop: (pool, seq) => void stopped.push(`${pool} ${seq}`),
  });
  return { store, backlog, canceller, stopped, counted, traced };
}

const sweep = (overrides = {}) => ({ dryRun: false, signal: new AbortController().signal, ...overrides });

describe("by id", () => {
  test("a job that waits is CANCELLED, counted, and does not wait any more", async () => {
    const jobs = [...newJobs(2), ...newJobs(1, { channel: null }), ...newJobs(1, { channel: "other" })];
    const { canceller, backlog, counted, traced, stopped } = await open(jobs);
    const ids = jobs.map(({ id }) => id);
    const answers = await canceller.cancel("ada", ids);
    assert.ok(answers.every(({ kind }) => kind === "cancelled"));
    assert.equal(backlog.queued("cpu"), 0);
    assert.deepEqual(stopped, []);
    assert.deepEqual(counted, Array(4).fill("ada/echo/cpu"));
    assert.deepEqual(
      traced,
      ids.map((id) => `ada/${id}`),
    );
  });

  test("a job that runs is asked to stop once the wish is durable", async () => {
    const jobs = newJobs(1);
    const { canceller, store, stopped, counted, traced, backlog } = await open(jobs);
    const [lease] = await leaseAll(store);
    backlog.change("cpu", -1);
    const [answer] = await canceller.cancel("ada", [jobs[0]!.id]);
    assert.equal(answer?.kind, "cancelling");
    assert.deepEqual(stopped, [`cpu ${lease?.seq}`]);
    assert.deepEqual([...counted, ...traced], []); // its attempt will be
    assert.equal(backlog.queued("cpu"), 0);
    assert.deepEqual(await store.extend({ leases: [lease!], now: t0, leaseMs: 1 }), ["cancelling"]);
  });

  test("each has an answer of its own: what is final, another's, or not there spoils nothing", async () => {
    const [mine, again, theirs] = [...newJobs(2), ...newJobs(1, { client: "bob" })] as [NewJob, NewJob, NewJob];
    const { canceller } = await open([mine, again, theirs]);
    const ids = [mine.id, theirs.id, mine.id, "nowhere", again.id];
    assert.deepEqual(
      (await canceller.cancel("ada", ids)).map(({ kind }) => kind),
      ["cancelled", "not_found", "final", "not_found", "cancelled"],
    );
  });
});

describe("by filter", () => {
  test("every job that waits or runs and matches is cancelled, over many pages", async () => {
    const { canceller, store, backlog, stopped } = await open([
      ...newJobs(2_500),
      ...newJobs(5, { task: "other" }),
      ...newJobs(5, { client: "bob" }),
    ]);
    await leaseAll(store, "cpu", 10);
    backlog.change("cpu", -10);
    const counts = await canceller.cancelWhere("ada", { ...anyJob, task: "echo" }, sweep());
    assert.deepEqual(counts, { matched: 2_500, cancelled: 2_490, cancelling: 10 });
    assert.equal(stopped.length, 10);
    assert.equal(backlog.queued("cpu"), 10);
  });

  test("a dry run only counts", async () => {
    const { canceller, store } = await open(newJobs(1_500));
    const counts = await canceller.cancelWhere("ada", anyJob, sweep({ dryRun: true }));
    assert.deepEqual(counts, { matched: 1_500, cancelled: 0, cancelling: 0 });
    assert.equal((await store.counts()).pools[0]?.QUEUED, 1_500);
  });

  test("who is gone has no further page cancelled", async () => {
    const { canceller, store } = await open(newJobs(2_500));
    const call = new AbortController();
    const { find } = store;
    store.find = (request) => {
      if (request.afterSeq > 0) call.abort();
      return find(request);
    };
    const counts = await canceller.cancelWhere("ada", anyJob, sweep({ signal: call.signal }));
    assert.deepEqual(counts, { matched: 1_000, cancelled: 1_000, cancelling: 0 });
  });
});
