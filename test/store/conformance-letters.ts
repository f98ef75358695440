import assert from "node:assert/strict";
import { cursors } from "./conformance-channels.ts";
import type { Check } from "./conformance.ts";
import {
  bad,
  data,
  died,
  finish,
  leaseAll,
  newJob,
  newJobs,
  nextId,
  resultsOf,
  retried,
  settlement,
  stopped,
  t0,
  inputOf,
  submit,
} from "./sample.ts";

const { failure } = stopped;

/** The part of the suite about what clients do to their jobs. */
export function lettersConformance(check: Check): void {
  check("cancelling ends what waits, marks what runs, and says of the rest what it is", async (store) => {
    const [done] = await finish(store, newJobs(1));
    const running = newJob();
    await submit(store, [running]);
    const [lease] = await leaseAll(store);
    const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const [waiting, discarding, other] = [
      newJob({ channel: "x", trace }),
      newJob({ channel: null, runAt: t0 + 9_000 }),
      newJob({ client: "eve" }),
    ];
    await submit(store, [waiting, discarding, other]);
    const missing = nextId();
    const ids = [waiting.id, done!.id, running.id, discarding.id, other.id, missing, waiting.id, running.id];
    const cancelled = {
      ...{ kind: "cancelled", task: "echo", pool: "cpu" },
      ...{ submittedAt: t0, runAt: t0, attempts: 0, redrives: 0 },
    };
    const cancelling = { kind: "cancelling", pool: "cpu", seq: lease!.seq };
    assert.deepEqual(await store.cancel({ client: "ada", ids, now: t0 + 5 }), [
      { ...cancelled, channel: "x", trace },
      { kind: "final", state: "SUCCEEDED" },
      cancelling,
      { ...cancelled, channel: null, trace: null, runAt: t0 + 9_000 },
      { kind: "not_found" },
      { kind: "not_found" },
      { kind: "final", state: "CANCELLED" },
      cancelling,
    ]);
    const [result] = (await resultsOf(store, 0, "x")).results;
    const { attempts, startedAt, finishedAt } = result!;
    assert.deepEqual([result?.id, result?.state, result?.failure], [waiting.id, "CANCELLED", failure]);
    assert.deepEqual([attempts, startedAt, finishedAt], [0, null, t0 + 5]);
    assert.deepEqual((await store.get({ client: "ada", id: waiting.id }))?.history, []);
    assert.deepEqual(
      (await leaseAll(store)).map(({ id }) => id),
      [other.id],
      "what was cancelled is not leased",
    );
  });

  check("a job cancelled while it runs is never queued again, and may still succeed", async (store) => {
    await submit(store, newJobs(2));
    const [a, b] = await leaseAll(store);
    await store.cancel({ client: "ada", ids: [a!.id, b!.id], now: t0 });
    assert.equal((await store.get({ client: "ada", id: a!.id }))?.isCancelling, true);
    await store.recover({ owner: "boot-1" });
    const lost = await store.expired({ now: t0, limit: 9 });
    assert.deepEqual(
      lost.map(({ isCancelling }) => isCancelling),
      [true, true],
    );
    assert.deepEqual(await store.settle([settlement(a!, retried)]), ["cancelling"]);
    assert.equal((await store.get({ client: "ada", id: a!.id }))?.state, "RUNNING");
    assert.deepEqual(await store.settle([settlement(a!, stopped), settlement(b!)]), ["written", "written"]);
    const jobs = await Promise.all([a, b].map((lease) => store.get({ client: "ada", id: lease!.id })));
    assert.deepEqual(
      jobs.map((job) => [job?.state, job?.isCancelling]),
      [
        ["CANCELLED", false],
        ["SUCCEEDED", false],
      ],
    );
  });

  check("a dead job is redriven with all its attempts before it and its history kept", async (store) => {
    const [lease] = await finish(store, [newJob({ expiresAt: t0 + 1, input: data(3_000) })], { ...died, crashes: 2 });
    const { id } = lease!;
    const redrive = (runAt: number) => store.redrive({ client: "ada", now: t0, jobs: [{ id, runAt }] });
    assert.deepEqual(await redrive(t0 + 7), [{ kind: "redriven", pool: "cpu", trace: null }]);
    const job = (await store.get({ client: "ada", id }))!;
    assert.deepEqual([job.state, job.attempts, job.runAt, job.expiresAt, job.redrives], ["QUEUED", 0, t0 + 7, null, 1]);
    assert.deepEqual([job.cursor, job.startedAt, job.finishedAt, job.failure, job.deadReason], Array(5).fill(null));
    assert.deepEqual(
      job.history.map((past) => past.failure),
      [bad],
    );
    assert.deepEqual((await store.lease({ pool: "cpu", limit: 1, now: t0, owner: "b", leaseMs: 1 })).nextDueAt, t0 + 7);
    const again = (await store.lease({ pool: "cpu", limit: 1, now: t0 + 7, owner: "b", leaseMs: 9 })).leases[0]!;
    assert.deepEqual([again.attempt, again.crashes, again.redrives, again.fence], [1, 0, 1, 2]);
    assert.deepEqual(inputOf(again), data(3_000));
    assert.deepEqual(await redrive(t0), [{ kind: "not_dead", state: "RUNNING" }]);
    assert.deepEqual(await store.settle([settlement(lease!), settlement(again)]), ["stale", "written"]);
  });

  check("redriving says of each job by itself what it is", async (store) => {
    const [dead] = await finish(store, newJobs(1, { trace: "00-1-2-01" }), died);
    const [done] = await finish(store, newJobs(1));
    const [other] = await finish(store, newJobs(1, { client: "eve" }), died);
    const ids = [done!.id, nextId(), other!.id, dead!.id, dead!.id];
    assert.deepEqual(await store.redrive({ client: "ada", now: t0, jobs: ids.map((id) => ({ id, runAt: t0 })) }), [
      { kind: "not_dead", state: "SUCCEEDED" },
      { kind: "not_found" },
      { kind: "not_found" },
      { kind: "redriven", pool: "cpu", trace: "00-1-2-01" },
      { kind: "not_dead", state: "QUEUED" },
    ]);
  });

  check("a redriven job's former result stays in its place until it is acknowledged", async (store) => {
    const labels = { kind: "night" };
    const [first] = await finish(store, [newJob({ labels })], { ...died, output: data(3_000) });
    await finish(store, newJobs(1));
    const before = await resultsOf(store);
    await store.redrive({ client: "ada", now: t0, jobs: [{ id: first!.id, runAt: t0 }] });
    assert.deepEqual(await resultsOf(store), before);
    await store.settle((await leaseAll(store)).map((lease) => settlement(lease, { output: data(4_000) })));
    const { results } = await resultsOf(store);
    assert.deepEqual(results.slice(0, 2), before.results);
    assert.deepEqual([results[2]?.id, results[2]?.cursor, results[2]?.redrives], [first!.id, 3, 1]);
    assert.deepEqual(
      cursors(await store.results({ client: "ada", channel: "default", afterCursor: 0, limit: 2, maxBytes: 9_999 })),
      [1, 2],
    );
    await store.ack([{ client: "ada", channel: "default", cursor: 2 }]);
    assert.deepEqual(cursors(await resultsOf(store)), [3]);
  });

  check("removing takes final jobs only, and no success that nobody has read", async (store) => {
    const [done] = await finish(store, newJobs(1));
    const [dead] = await finish(store, newJobs(1, { input: data(3_000) }), died);
    const [discarded] = await finish(store, newJobs(1, { channel: null }));
    const waiting = newJob();
    await submit(store, [waiting, newJob({ client: "eve", id: nextId() })]);
    const remove = (...ids: string[]) => store.remove({ client: "ada", ids });
    assert.deepEqual(await remove(waiting.id, done!.id, dead!.id, discarded!.id, nextId(), dead!.id), [
      { kind: "not_final", state: "QUEUED" },
      { kind: "not_acknowledged" },
      { kind: "removed" },
      { kind: "removed" },
      { kind: "not_found" },
      { kind: "not_found" },
    ]);
    assert.deepEqual(await store.remove({ client: "eve", ids: [done!.id] }), [{ kind: "not_found" }]);
    assert.equal(await store.get({ client: "ada", id: dead!.id }), null);
    const { results } = await resultsOf(store);
    assert.deepEqual(
      results.map(({ id }) => id),
      [done!.id, dead!.id],
      "what nobody read stays in the channel",
    );
    await store.ack([{ client: "ada", channel: "default", cursor: 2 }]);
    assert.deepEqual(await resultsOf(store), { results: [], lastCursor: 2, ackedCursor: 2 });
    assert.deepEqual(await remove(done!.id), [{ kind: "removed" }]);
    assert.deepEqual(await submit(store, [newJob({ id: dead!.id })]), [{ kind: "accepted" }], "its id is free");
    const { pools } = await store.counts();
    assert.deepEqual([pools[0]?.QUEUED, pools[0]?.SUCCEEDED, pools[0]?.DEAD], [3, 0, 0]);
  });
}
