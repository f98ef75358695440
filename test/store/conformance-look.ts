import assert from "node:assert/strict";
import type { JobFilter, ListRequest } from "../../src/store/store.ts";
import type { Check } from "./conformance.ts";
import {
  anyJob,
  asBoot1,
  bad,
  data,
  died,
  everything,
  finish,
  leaseAll,
  listAll,
  newJob,
  newJobs,
  pruneNothing,
  retried,
  settlement,
  stopped,
  submit,
  t0,
} from "./sample.ts";

/** The part of the suite about looking at jobs: one, many, how many, and until when. */
export function lookConformance(check: Check): void {
  check("what is no id names no job, however close it comes", async (store) => {
    const { id } = (await finish(store, [newJob()], died))[0]!;
    const likeIt = [id.replace("0", "q"), id.replaceAll("-", ""), `${id}0`, id.slice(0, -1), id.replace("-", "0"), ""];
    for (const text of [...likeIt, id.toUpperCase().replace(/^0/, "P"), "id"]) {
      const named = { client: "ada", ids: [text] };
      assert.equal(await store.get({ client: "ada", id: text }), null, text);
      assert.deepEqual(await store.states([{ client: "ada", id: text }]), [null]);
      assert.deepEqual(await store.cancel({ ...named, now: t0 }), [{ kind: "not_found" }]);
      assert.deepEqual(await store.remove(named), [{ kind: "not_found" }]);
      const redriven = await store.redrive({ client: "ada", now: t0, jobs: [{ id: text, runAt: t0 }] });
      assert.deepEqual(redriven, [{ kind: "not_found" }]);
    }
  });

  check("a job is shown to its client only, with all that is known of it", async (store) => {
    const labels = { kind: "night" };
    const wishes = { priority: 7, expiresAt: t0 + 99, idempotencyKey: "k", labels, timeoutMs: 5, memo: "é" } as const;
    const asked = { channel: "x", input: data(3_000), retry: { baseMs: 1 }, ...wishes };
    const [lease] = await finish(store, [newJob(asked)]);
    const { id, seq } = lease!;
    assert.equal(await store.get({ client: "eve", id }), null);
    assert.deepEqual(await store.list({ ...everything, client: "eve" }), { jobs: [], nextSeq: null });
    const job = { seq, id, client: "ada", task: "echo", pool: "cpu", channel: "x", state: "SUCCEEDED", attempts: 1 };
    const times = { submittedAt: t0, runAt: t0, startedAt: t0 + 1, finishedAt: t0 + 2 };
    const ending = { isCancelling: false, redrives: 0, failure: null, deadReason: null, cursor: 1 };
    const expected = { ...job, ...wishes, maxAttempts: 4, crashes: 0, ...times, ...ending };
    assert.deepEqual(
      { ...(await store.get({ client: "ada", id })) },
      { ...expected, input: data(3_000), output: data("out"), history: [] },
    );
    assert.deepEqual(await listAll(store), [{ ...expected, output: null }]);
  });

  check("states are those of the jobs asked for, in order, and of nobody else's", async (store) => {
    await submit(store, newJobs(3));
    const [first, second] = await leaseAll(store, "cpu", 2);
    await store.settle([settlement(first!, { ...retried, runAt: t0 + 5 })]);
    await store.cancel({ client: "ada", ids: [second!.id], now: t0 });
    const ada = (id: string) => ({ client: "ada", id });
    const asked = [ada(second!.id), { client: "bob", id: first!.id }, ada("none"), ada(first!.id)];
    assert.deepEqual(await store.states(asked), [
      { state: "RUNNING", attempts: 1, isCancelling: true, redrives: 0, runAt: t0 },
      null,
      null,
      { state: "QUEUED", attempts: 1, isCancelling: false, redrives: 0, runAt: t0 + 5 },
    ]);
  });

  check("jobs are listed newest first, in pages that say where to go on", async (store) => {
    const jobs = newJobs(5);
    await submit(store, jobs);
    const seen: string[] = [];
    let beforeSeq: number | null = null;
    let pages = 0;
    do {
      const page = await store.list({ ...everything, limit: 2, beforeSeq });
      seen.push(...page.jobs.map(({ id }) => id));
      beforeSeq = page.nextSeq;
      pages += 1;
    } while (beforeSeq !== null && pages < 9);
    assert.deepEqual(seen, jobs.map(({ id }) => id).reverse());
    assert.equal(pages, 3);
  });

  check("every part of a filter counts, in lists and in finds", async (store) => {
    const jobs = [
      newJob(),
      newJob({ task: "sleep" }),
      newJob({ channel: "x", pool: "io" }),
      newJob({ labels: { kind: "night", "a.b": '"]' } }),
      newJob({ labels: { kind: "day" }, submittedAt: t0 + 5 }),
      newJob({ channel: null, submittedAt: t0 + 9 }),
      newJob({ priority: 50 }),
      newJob({ priority: 50 }),
      newJob({ priority: 50 }),
    ];
    await submit(store, jobs);
    const [dead, again, running] = (await store.lease({ pool: "cpu", limit: 3, now: t0, ...asBoot1 })).leases;
    await store.settle([settlement(dead!, died), settlement(again!, { ...retried, runAt: t0 + 50 })]);
    assert.equal(running?.id, jobs[8]?.id);
    const both = async (part: Partial<JobFilter>, state: ListRequest["state"] = null) => {
      const filter = { ...anyJob, ...part };
      const all = ["QUEUED", "RUNNING", "SUCCEEDED", "DEAD", "CANCELLED"] as const;
      const { ids } = await store.find({
        client: "ada",
        filter,
        states: state ? [state] : all,
        afterSeq: 0,
        limit: 1_000,
      });
      const listed = (await store.list({ ...everything, filter, state })).jobs.map(({ id }) => id);
      assert.deepEqual(listed.toReversed(), ids);
      return ids.map((id) => jobs.findIndex((job) => job.id === id));
    };
    assert.deepEqual(await both({}), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert.deepEqual(await both({ task: "sleep" }), [1]);
    assert.deepEqual(await both({ pool: "io" }), [2]);
    assert.deepEqual(await both({ channel: "x" }), [2]);
    assert.deepEqual(await both({ channel: "never" }), []);
    assert.deepEqual(await both({ labels: { kind: "night" } }), [3]);
    assert.deepEqual(await both({ labels: { "a.b": '"]', kind: "night" } }), [3]);
    assert.deepEqual(await both({ labels: { kind: "night", "a.b": "x" } }), []);
    assert.deepEqual(await both({ submittedFrom: t0 + 5 }), [4, 5]);
    assert.deepEqual(await both({ submittedFrom: t0 + 1, submittedBefore: t0 + 9 }), [4]);
    assert.deepEqual(await both({}, "RUNNING"), [8]);
    assert.deepEqual(await both({}, "DEAD"), [6]);
    assert.deepEqual(await both({ deadReason: "permanent" }, "DEAD"), [6]);
    assert.deepEqual(await both({ deadReason: "poison" }), []);
    assert.deepEqual(await both({ failureReason: bad.reason }), [6]);
    assert.deepEqual(await both({ failureReason: "slow" }, "QUEUED"), [7]);
  });

  check("find gives ids from the oldest on, of one client, in the states asked for", async (store) => {
    await finish(store, newJobs(1), died);
    await finish(store, newJobs(1));
    const waiting = newJobs(3);
    await submit(store, [...waiting, newJob({ client: "eve" })]);
    const find = (afterSeq: number, limit: number) =>
      store.find({ client: "ada", filter: anyJob, states: ["QUEUED", "RUNNING"], afterSeq, limit });
    const first = await find(0, 2);
    assert.deepEqual(
      first.ids,
      waiting.slice(0, 2).map(({ id }) => id),
    );
    assert.deepEqual(await find(first.nextSeq!, 2), { ids: [waiting[2]!.id], nextSeq: null });
  });

  check("counts, and since when the oldest is due or dead, follow every change", async (store) => {
    assert.deepEqual(await store.counts(), { pools: [] });
    await submit(store, [...newJobs(4), newJob({ pool: "io", runAt: t0 + 10, priority: 5 })]);
    const [done, dead, again] = await leaseAll(store, "cpu", 3);
    await store.settle([
      settlement(done!),
      settlement(dead!, { ...died, finishedAt: t0 + 7 }),
      settlement(again!, { ...retried, runAt: t0 + 3 }),
    ]);
    const [last] = await leaseAll(store);
    await store.settle([settlement(last!, { ...stopped })]);
    const none = { QUEUED: 0, RUNNING: 0, SUCCEEDED: 0, DEAD: 0, CANCELLED: 0 };
    assert.deepEqual((await store.counts()).pools, [
      { ...none, pool: "cpu", QUEUED: 1, SUCCEEDED: 1, DEAD: 1, CANCELLED: 1 },
      { ...none, pool: "io", QUEUED: 1 },
    ]);
    await submit(store, [newJob({ pool: "io", runAt: t0 + 9, priority: -5 })]);
    const oldest = (now: number) => store.oldest({ pools: ["io", "cpu", "none"], now });
    const nothing = { dueAt: null, diedAt: null };
    assert.deepEqual(await oldest(t0 + 3), [nothing, { dueAt: t0 + 3, diedAt: t0 + 7 }, nothing]);
    assert.deepEqual((await oldest(t0 + 10))[0], { dueAt: t0 + 9, diedAt: null });
  });

  check("eligible jobs are those that are due now, of every priority, counted up to a bound", async (store) => {
    await submit(store, [
      ...newJobs(3, { runAt: t0 + 2 }),
      ...newJobs(2, { priority: 5, runAt: t0 + 1 }),
      newJob({ priority: -5, runAt: t0 + 9 }),
      newJob({ pool: "io", runAt: t0 + 3 }),
    ]);
    const eligible = (now: number, max = 9) =>
      store.eligible({ pools: ["cpu", "io", "none"].map((pool) => ({ pool, max })), now });
    const nothing = { jobs: 0, oldestAt: null };
    assert.deepEqual(await eligible(t0), [nothing, nothing, nothing]);
    assert.deepEqual(await eligible(t0 + 2), [{ jobs: 5, oldestAt: t0 + 1 }, nothing, nothing]);
    assert.deepEqual(await eligible(t0 + 9), [{ jobs: 6, oldestAt: t0 + 1 }, { jobs: 1, oldestAt: t0 + 3 }, nothing]);
    assert.deepEqual(await eligible(t0 + 9, 3), [
      { jobs: 3, oldestAt: t0 + 1 },
      { jobs: 1, oldestAt: t0 + 3 },
      nothing,
    ]);
    await store.lease({ pool: "cpu", limit: 2, now: t0 + 2, ...asBoot1 });
    assert.deepEqual((await eligible(t0 + 2))[0], { jobs: 3, oldestAt: t0 + 2 }, "leased ones are not among them");
  });

  check("a waiting job knows how many due ones are before it", async (store) => {
    const jobs = [
      newJob(),
      newJob({ priority: 3 }),
      newJob({ priority: 3, runAt: t0 + 50 }),
      newJob({ runAt: t0 - 1 }),
      newJob({ runAt: t0 + 60 }),
      newJob({ pool: "io" }),
    ];
    await submit(store, jobs);
    const seqs = (await listAll(store)).toReversed().map(({ seq }) => seq);
    const ahead = (index: number, now = t0, max = 100) => store.ahead({ seq: seqs[index]!, now, max });
    assert.deepEqual(await Promise.all([0, 1, 2, 3, 4, 5].map((index) => ahead(index))), [2, 0, 1, 1, 3, 0]);
    assert.equal(await ahead(0, t0 + 50), 3);
    assert.equal(await ahead(4, t0 + 50, 2), 2);
    const [lease] = await leaseAll(store, "cpu", 1);
    assert.equal(await store.ahead({ seq: lease!.seq, now: t0, max: 9 }), null);
    assert.equal(await store.ahead({ seq: 999, now: t0, max: 9 }), null);
  });

  check("the latest time is that of the latest call, and no call of an earlier time takes it back", async (store) => {
    const after = async (call: Promise<unknown>) => {
      await call;
      return (await store.latest()) - t0;
    };
    const job = newJob({ submittedAt: t0 + 10, runAt: t0 + 3_600_000, expiresAt: t0 + 7_200_000 });
    const at = (now: number) => ({ pool: "cpu", limit: 1, now, ...asBoot1 });
    assert.equal(await store.latest(), 0, "an empty store has none");
    assert.equal(await after(submit(store, [job])), 10, "and not when the job may run, or must have");
    assert.equal(await after(store.lease(at(t0 + 5))), 10);
    assert.equal(await after(store.lease(at(t0 + 20))), 20, "although there was nothing to lease");
    const { leases } = await store.lease(at(t0 + 3_600_000));
    const retry = { ...retried, finishedAt: t0 + 3_600_002, runAt: t0 + 9_000_000 };
    assert.equal(await after(store.settle([settlement(leases[0]!, retry)])), 3_600_002);
    const cancel = { client: "ada", ids: [job.id], now: t0 + 3_600_003, failure: stopped.failure };
    assert.equal(await after(store.cancel(cancel)), 3_600_003);
    assert.equal(await after(store.redrive({ client: "ada", now: t0 + 3_600_004, jobs: [] })), 3_600_004);
    assert.equal(await after(store.prune({ ...pruneNothing, now: t0 + 3_600_005 })), 3_600_005);
  });
}
