/** What every store driver must do; a driver's own test hands itself in. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { ListRequest, Store } from "../../src/store/store.ts";
import { channelConformance } from "./conformance-channels.ts";
import { data, everything, finish, leaseAll, newJob, newJobs, resultsOf, settlement, t0 } from "./sample.ts";

export type Opened = {
  readonly store: Store;
  /** Closes the store and opens it again on what it kept; or why this driver cannot. */
  readonly reopen: (() => Promise<Store>) | string;
  /** Closes the store and removes what it kept. */
  discard(): Promise<void>;
};

/** Registers the suite. Each test has a store of its own. */
export function conformance(name: string, open: () => Promise<Opened>): void {
  const check = (sentence: string, body: (store: Store) => Promise<void>) => {
    test(sentence, async () => {
      const opened = await open();
      try {
        await body(opened.store);
      } finally {
        await opened.discard();
      }
    });
  };

  describe(`${name}: jobs`, () => {
    check("a job submitted twice is stored once", async (store) => {
      const job = newJob();
      assert.deepEqual(await store.submit([job, job]), [{ kind: "accepted" }, { kind: "duplicate", cursor: null }]);
      assert.deepEqual(await store.submit([job]), [{ kind: "duplicate", cursor: null }]);
      assert.equal((await store.list(everything)).length, 1);
      await store.settle((await leaseAll(store)).map((lease) => settlement(lease)));
      assert.deepEqual(await store.submit([job]), [{ kind: "duplicate", cursor: 1 }]);
    });

    check("an id with other content is a conflict that names what differs, and changes nothing", async (store) => {
      const job = newJob();
      await store.submit([job]);
      const differing = [
        { ...job, task: "sleep", channel: "other", input: null },
        { ...job, input: data("another") },
        { ...job, input: { ...data("in"), kind: "json" as const } },
      ];
      assert.deepEqual(await store.submit(differing), [
        { kind: "conflict", differs: ["task", "channel", "input"] },
        { kind: "conflict", differs: ["input"] },
        { kind: "conflict", differs: ["input"] },
      ]);
      const [lease] = await leaseAll(store);
      assert.equal(lease?.task, "echo");
      assert.deepEqual(lease?.input, data("in"));
    });

    check("another client's id is taken, and the neighbours in the call are stored all the same", async (store) => {
      const job = newJob();
      await store.submit([job]);
      const answers = await store.submit([newJob(), { ...job, client: "eve" }, newJob()]);
      assert.deepEqual(answers, [{ kind: "accepted" }, { kind: "taken" }, { kind: "accepted" }]);
    });

    check("a lease carries the whole job, in the order of submission", async (store) => {
      const jobs = [
        newJob({ trace: "00-1-2-01", input: { kind: "message", type: "a.B", bytes: new Uint8Array([1, 0, 255]) } }),
        newJob({ input: null, channel: "x", submittedAt: t0 - 5, maxAttempts: 1 }),
        newJob({ input: data(100_000) }),
        newJob({ input: data(0) }),
      ];
      await store.submit(jobs);
      const { leases } = await store.lease({ pool: "cpu", limit: 10, now: t0, owner: "boot-1" });
      const seqs = leases.map((lease) => lease.seq);
      assert.deepEqual(
        seqs,
        seqs.toSorted((a, b) => a - b),
      );
      assert.deepEqual(
        leases,
        jobs.map((job, index) => ({ ...job, seq: seqs[index], attempt: 1, fence: 1, crashes: 0 })),
      );
    });

    check(
      "payload bytes own their buffer, so that giving one away leaves the store and the others whole",
      async (store) => {
        const jobs = [newJob(), newJob()];
        await store.submit(jobs);
        const leases = await leaseAll(store);
        for (const { input } of leases) {
          assert.equal(input!.bytes.buffer.byteLength, 2);
          structuredClone(input!.bytes, { transfer: [input!.bytes.buffer as ArrayBuffer] });
        }
        structuredClone(jobs[0]!.input!.bytes, { transfer: [jobs[0]!.input!.bytes.buffer as ArrayBuffer] });
        const again = await store.expired({ owner: "boot-2", limit: 2 });
        assert.deepEqual(
          again.map(({ input }) => input),
          [data("in"), data("in")],
        );
      },
    );

    check(
      "a job is leased once, by pool, at most limit at a time, not before its time, earliest first",
      async (store) => {
        const late = newJob({ runAt: t0 + 50 });
        const [first, second] = [newJob({ runAt: t0 - 1 }), newJob()];
        await store.submit([late, second, first, newJob({ pool: "io" })]);
        const take = async (limit: number, now: number) => {
          const { leases, nextDueAt } = await store.lease({ pool: "cpu", limit, now, owner: "boot-1" });
          return { ids: leases.map(({ id }) => id), nextDueAt };
        };
        assert.deepEqual((await take(1, t0)).ids, [first.id]);
        assert.deepEqual(await take(5, t0), { ids: [second.id], nextDueAt: t0 + 50 });
        assert.deepEqual(await take(5, t0 + 49), { ids: [], nextDueAt: t0 + 50 });
        assert.deepEqual(await take(5, t0 + 50), { ids: [late.id], nextDueAt: null });
      },
    );

    check("a settlement applies once, with the lease's fence, to a running job", async (store) => {
      await store.submit(newJobs(2));
      const [lease] = await store.lease({ pool: "cpu", limit: 1, now: t0, owner: "boot-1" }).then((l) => l.leases);
      const refused = [
        settlement(lease!, { fence: lease!.fence + 1 }),
        settlement(lease!, { fence: lease!.fence - 1 }),
        settlement(lease!, { seq: lease!.seq + 1, fence: 0 }),
        settlement(lease!, { seq: 999 }),
      ];
      assert.deepEqual(await store.settle(refused), [false, false, false, false]);
      assert.deepEqual((await resultsOf(store)).results, []);
      const twice = [settlement(lease!), settlement(lease!, { state: "DEAD" })];
      assert.deepEqual(await store.settle(twice), [true, false]);
      assert.deepEqual(
        (await resultsOf(store)).results.map(({ state }) => state),
        ["SUCCEEDED"],
      );
    });

    check("a job given back is leased again with a higher fence, and its old lease settles nothing", async (store) => {
      await store.submit([newJob()]);
      const [old] = await leaseAll(store);
      const failure = { reason: "slow", message: "too slow", retryable: true, retryAfterMs: 5, details: { a: [1] } };
      const back = { state: "QUEUED" as const, output: null, failure, runAt: t0 + 5, crashes: 2 };
      await store.settle([settlement(old!, back)]);
      const waiting = await store.get({ client: "ada", id: old!.id });
      assert.deepEqual(waiting?.failure, failure);
      assert.deepEqual([waiting?.state, waiting?.finishedAt, waiting?.cursor], ["QUEUED", null, null]);
      const { leases } = await store.lease({ pool: "cpu", limit: 1, now: t0 + 5, owner: "boot-1" });
      assert.deepEqual([leases[0]?.attempt, leases[0]?.fence, leases[0]?.crashes], [2, 2, 2]);
      assert.deepEqual(await store.settle([settlement(old!), settlement(leases[0]!)]), [false, true]);
    });

    check("what another owner left running is expired, oldest first, and stays so until settled", async (store) => {
      await store.submit(newJobs(3));
      await store.lease({ pool: "cpu", limit: 2, now: t0, owner: "boot-1" });
      await store.lease({ pool: "cpu", limit: 1, now: t0, owner: "boot-2" });
      const left = await store.expired({ owner: "boot-2", limit: 10 });
      assert.deepEqual(
        left.map(({ attempt, fence, input }) => ({ attempt, fence, input })),
        [
          { attempt: 1, fence: 1, input: data("in") },
          { attempt: 1, fence: 1, input: data("in") },
        ],
      );
      assert.deepEqual(await store.expired({ owner: "boot-2", limit: 1 }), [left[0]]);
      await store.settle([settlement(left[0]!)]);
      assert.deepEqual(await store.expired({ owner: "boot-2", limit: 10 }), [left[1]]);
    });

    check("a job is shown to its client only", async (store) => {
      const [lease] = await finish(store, [newJob({ channel: "x" })]);
      const { id, seq } = lease!;
      assert.equal(await store.get({ client: "eve", id }), null);
      assert.deepEqual(await store.list({ ...everything, client: "eve" }), []);
      const job = { seq, id, client: "ada", task: "echo", pool: "cpu", channel: "x", state: "SUCCEEDED", attempts: 1 };
      const times = { submittedAt: t0, runAt: t0, startedAt: t0 + 1, finishedAt: t0 + 2 };
      const expected = { ...job, maxAttempts: 4, ...times, output: data("out"), failure: null, cursor: 1 };
      assert.deepEqual({ ...(await store.get({ client: "ada", id })) }, expected);
      assert.deepEqual(await store.list(everything), [{ ...expected, output: null }]);
    });

    check("jobs are listed newest first, in pages, by state, task and channel", async (store) => {
      const jobs = [newJob(), newJob({ task: "sleep" }), newJob({ channel: "x" }), newJob()];
      await store.submit(jobs);
      await store.lease({ pool: "cpu", limit: 1, now: t0, owner: "boot-1" });
      const listed = async (filter: Partial<ListRequest>) =>
        (await store.list({ ...everything, ...filter })).map(({ id }) => jobs.findIndex((job) => job.id === id));
      assert.deepEqual(await listed({}), [3, 2, 1, 0]);
      const page = await store.list({ ...everything, limit: 2 });
      assert.deepEqual(await listed({ beforeSeq: page[1]!.seq }), [1, 0]);
      assert.deepEqual(await listed({ state: "RUNNING" }), [0]);
      assert.deepEqual(await listed({ task: "sleep", state: "QUEUED" }), [1]);
      assert.deepEqual(await listed({ channel: "x" }), [2]);
      assert.deepEqual(await listed({ channel: "never" }), []);
    });

    check("counts and the oldest due time follow every change", async (store) => {
      assert.deepEqual(await store.counts(), { pools: [] });
      await store.submit([...newJobs(3), newJob({ pool: "io", runAt: t0 + 10 })]);
      const [done, dead, again] = await leaseAll(store);
      await store.settle([
        settlement(done!),
        settlement(dead!, { state: "DEAD" }),
        settlement(again!, { state: "QUEUED", output: null, runAt: t0 + 3 }),
      ]);
      const none = { QUEUED: 0, RUNNING: 0, SUCCEEDED: 0, DEAD: 0, CANCELLED: 0 };
      assert.deepEqual((await store.counts()).pools, [
        { ...none, pool: "cpu", QUEUED: 1, SUCCEEDED: 1, DEAD: 1 },
        { ...none, pool: "io", QUEUED: 1 },
      ]);
      const due = (now: number) => store.oldestDue({ pools: ["io", "cpu", "none"], now });
      assert.deepEqual(await due(t0 + 3), [null, t0 + 3, null]);
      assert.deepEqual(await due(t0 + 10), [t0 + 10, t0 + 3, null]);
    });

    check("calls made without waiting take effect in the order they were made", async (store) => {
      const submitted = store.submit(newJobs(2));
      const leased = store.lease({ pool: "cpu", limit: 10, now: t0, owner: "boot-1" });
      const empty = store.lease({ pool: "cpu", limit: 10, now: t0, owner: "boot-1" });
      assert.equal((await leased).leases.length, 2);
      assert.equal((await empty).leases.length, 0);
      await submitted;
      const settled = store.settle((await leased).leases.map((lease) => settlement(lease)));
      const found = resultsOf(store);
      const acked = store.ack([{ client: "ada", channel: "default", cursor: 2 }]);
      const after = resultsOf(store);
      assert.deepEqual(await settled, [true, true]);
      assert.deepEqual(
        (await found).results.map(({ cursor }) => cursor),
        [1, 2],
      );
      assert.deepEqual(await acked, [{ kind: "acknowledged", cursor: 2 }]);
      assert.deepEqual(await after, { results: [], lastCursor: 2 });
    });

    check("closing finishes what was asked for, may be repeated, and refuses what comes later", async (store) => {
      const submitted = store.submit([newJob()]);
      await Promise.all([store.close(), store.close()]);
      await store.close();
      assert.deepEqual(await submitted, [{ kind: "accepted" }]);
      await assert.rejects(store.counts(), { name: "MillpondError", reason: "store_failed" });
    });
  });

  describe(`${name}: channels`, () => channelConformance(check));

  describe(`${name}: reopened`, () => {
    let opened: Opened;
    before(async () => {
      opened = await open();
    });
    after(() => opened.discard());
    test("jobs, results, acknowledgements, counts and leases are there after reopening", async (t) => {
      if (typeof opened.reopen === "string") return t.skip(opened.reopen);
      const { store } = opened;
      const done = await finish(store, newJobs(3, { input: data(5_000) }), { output: data(6_000) });
      await store.ack([{ client: "ada", channel: "default", cursor: 1 }]);
      await store.submit([newJob()]);
      const [running] = await leaseAll(store);
      await store.submit([newJob({ runAt: t0 + 9 })]);
      const before = [await resultsOf(store), await store.counts(), await store.list(everything)];

      const again = await opened.reopen();

      assert.deepEqual([await resultsOf(again), await again.counts(), await again.list(everything)], before);
      assert.equal((await resultsOf(again)).results[0]?.cursor, 2);
      assert.deepEqual(await again.expired({ owner: "boot-2", limit: 10 }), [running]);
      await again.settle([settlement(running!)]);
      assert.equal((await resultsOf(again)).lastCursor, done.length + 1);
      const next = await again.lease({ pool: "cpu", limit: 1, now: t0 + 9, owner: "boot-2" });
      assert.ok(next.leases[0]!.seq > running!.seq);
    });
  });
}
