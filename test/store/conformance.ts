/** What every store driver must do; a driver's own test hands itself in. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { idempotencyMs, suspectAfterCrashes } from "../../src/job/job.ts";
import { decodeJob } from "../../src/job/record.ts";
import type { ContentField } from "../../src/job/content.ts";
import type { Store } from "../../src/store/store.ts";
import { channelConformance } from "./conformance-channels.ts";
import { historyConformance } from "./conformance-history.ts";
import { hintsConformance } from "./conformance-hints.ts";
import { leasesConformance } from "./conformance-leases.ts";
import { lettersConformance } from "./conformance-letters.ts";
import { lookConformance } from "./conformance-look.ts";
import { overridesConformance } from "./conformance-overrides.ts";
import { reopenConformance } from "./conformance-reopen.ts";
import { retentionConformance } from "./conformance-retention.ts";
import {
  asBoot1,
  data,
  died,
  inputOf,
  leaseAll,
  listAll,
  newJob,
  newJobs,
  resultsOf,
  retried,
  settlement,
  t0,
  submit,
} from "./sample.ts";

export type Check = (sentence: string, body: (store: Store) => Promise<void>) => void;

export type Opened = {
  readonly store: Store;
  /** Closes the store and opens it again on what it kept; or why this driver cannot. */
  readonly reopen: (() => Promise<Store>) | string;
  /** Closes the store and removes what it kept. */
  discard(): Promise<void>;
};

/** Registers the suite. Each test has a store of its own. */
export function conformance(name: string, open: () => Promise<Opened>): void {
  const check: Check = (sentence, body) => {
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
      assert.deepEqual(await submit(store, [job, job]), [
        { kind: "accepted" },
        { kind: "duplicate", id: job.id, cursor: null },
      ]);
      assert.deepEqual(await submit(store, [job]), [{ kind: "duplicate", id: job.id, cursor: null }]);
      assert.equal((await listAll(store)).length, 1);
      await store.settle((await leaseAll(store)).map((lease) => settlement(lease)));
      assert.deepEqual(await submit(store, [job]), [{ kind: "duplicate", id: job.id, cursor: 1 }]);
    });

    check("an id with other content is a conflict that names what differs, and changes nothing", async (store) => {
      const job = newJob();
      await submit(store, [job]);
      const differing = [
        {
          ...job,
          task: "sleep",
          channel: "other",
          input: null,
          priority: 1,
          maxAttempts: 9,
          timeoutMs: 1,
        },
        { ...job, input: data("another") },
        { ...job, input: { ...data("in"), kind: "json" as const } },
        { ...job, channel: null },
        { ...job, labels: { a: "1" }, retry: { baseMs: 5 } },
      ];
      const conflict = (...differs: ContentField[]) => ({ kind: "conflict", id: job.id, by: "id", differs });
      assert.deepEqual(await submit(store, differing), [
        conflict("task", "channel", "input", "priority", "max_attempts", "timeout"),
        conflict("input"),
        conflict("input"),
        conflict("discard_result"),
        conflict("labels", "retry"),
      ]);
      const [lease] = await leaseAll(store);
      assert.equal(lease?.task, "echo");
      assert.deepEqual(inputOf(lease), data("in"));
    });

    check("times may differ between two submits of one job, and the order of labels too", async (store) => {
      const job = newJob({ labels: { a: "1", b: "2" }, timeoutMs: 5 });
      await submit(store, [job]);
      const again = { ...job, runAt: t0 + 5, submittedAt: t0 + 5, expiresAt: t0 + 9, trace: "00-9-9-01" };
      const reordered = { ...again, timeoutMs: 5, labels: { b: "2", a: "1" } };
      const duplicate = { kind: "duplicate", id: job.id, cursor: null };
      assert.deepEqual(await submit(store, [again, reordered]), [duplicate, duplicate]);
    });

    check("a key stands for its job, for its client only, whatever id comes with it", async (store) => {
      const job = newJob({ idempotencyKey: "k" });
      const other = newJob({ idempotencyKey: "k", input: data("other"), priority: 3 });
      const discarded = newJob({ idempotencyKey: "k", channel: null });
      assert.deepEqual(await submit(store, [job, other, discarded, newJob({ idempotencyKey: "k" })]), [
        { kind: "accepted" },
        { kind: "conflict", id: job.id, by: "key", differs: ["input", "priority"] },
        { kind: "conflict", id: job.id, by: "key", differs: ["discard_result"] },
        { kind: "duplicate", id: job.id, cursor: null },
      ]);
      assert.deepEqual(await submit(store, [newJob({ idempotencyKey: "k", client: "eve" })]), [{ kind: "accepted" }]);
      await store.settle((await leaseAll(store)).map((lease) => settlement(lease)));
      const late = newJob({ idempotencyKey: "k", submittedAt: t0 + idempotencyMs - 1 });
      assert.deepEqual(await submit(store, [late]), [{ kind: "duplicate", id: job.id, cursor: 1 }]);
      const nextDay = newJob({ idempotencyKey: "k", submittedAt: t0 + idempotencyMs });
      assert.deepEqual(await submit(store, [nextDay, job]), [
        { kind: "accepted" },
        { kind: "duplicate", id: job.id, cursor: 1 },
      ]);
    });

    check("another client's id is taken, and the neighbours in the call are stored all the same", async (store) => {
      const job = newJob();
      await submit(store, [job]);
      const answers = await submit(store, [newJob(), { ...job, client: "eve" }, newJob()]);
      assert.deepEqual(answers, [{ kind: "accepted" }, { kind: "taken" }, { kind: "accepted" }]);
    });

    check("a lease carries the whole job, in the order of submission", async (store) => {
      const jobs = [
        newJob({ trace: "00-1-2-01", input: { kind: "message", type: "a.B", bytes: new Uint8Array([1, 0, 255]) } }),
        newJob({ input: null, channel: "x", submittedAt: t0 - 5, maxAttempts: 1 }),
        newJob({ channel: null, expiresAt: t0 + 7, idempotencyKey: "k", retry: { jitter: "none" } }),
        newJob({ input: data(100_000) }),
        newJob({ input: data(0) }),
      ];
      await submit(store, jobs);
      const { leases } = await store.lease({ pool: "cpu", limit: 10, now: t0, ...asBoot1 });
      const seqs = leases.map((lease) => lease.seq);
      assert.deepEqual(
        seqs,
        seqs.toSorted((a, b) => a - b),
      );
      assert.deepEqual(
        leases.map((lease) => decodeJob(lease.record)),
        jobs.map((job) => ({ ...job, inputDigest: null })),
      );
      assert.deepEqual(
        leases.map(({ record: _record, ...lease }) => lease),
        jobs.map(({ input: _input, memo: _memo, ...job }, index) => ({
          ...job,
          seq: seqs[index],
          attempt: 1,
          fence: 1,
          crashes: 0,
          redrives: 0,
          startedAt: null,
          isCancelling: false,
        })),
      );
    });

    check(
      "a job is leased once, by pool, at most limit at a time, not before its time, earliest first",
      async (store) => {
        const late = newJob({ runAt: t0 + 50 });
        const [first, second] = [newJob({ runAt: t0 - 1 }), newJob()];
        await submit(store, [late, second, first, newJob({ pool: "io" })]);
        const take = async (limit: number, now: number) => {
          const { leases, nextDueAt } = await store.lease({ pool: "cpu", limit, now, ...asBoot1 });
          return { ids: leases.map(({ id }) => id), nextDueAt };
        };
        assert.deepEqual((await take(1, t0)).ids, [first.id]);
        assert.deepEqual(await take(5, t0), { ids: [second.id], nextDueAt: t0 + 50 });
        assert.deepEqual(await take(5, t0 + 49), { ids: [], nextDueAt: t0 + 50 });
        assert.deepEqual(await take(5, t0 + 50), { ids: [late.id], nextDueAt: null });
      },
    );

    check("a settlement applies once, with the lease's fence, to a running job", async (store) => {
      await submit(store, newJobs(2));
      const [lease] = await store.lease({ pool: "cpu", limit: 1, now: t0, ...asBoot1 }).then((l) => l.leases);
      const refused = [
        settlement(lease!, { fence: lease!.fence + 1 }),
        settlement(lease!, { fence: lease!.fence - 1 }),
        settlement(lease!, { seq: lease!.seq + 1, fence: 0 }),
        settlement(lease!, { seq: 999 }),
      ];
      assert.deepEqual(await store.settle(refused), ["stale", "stale", "stale", "stale"]);
      assert.deepEqual((await resultsOf(store)).results, []);
      const twice = [settlement(lease!), settlement(lease!, died)];
      assert.deepEqual(await store.settle(twice), ["written", "stale"]);
      assert.deepEqual(
        (await resultsOf(store)).results.map(({ state }) => state),
        ["SUCCEEDED"],
      );
    });

    check("a job given back is leased again with a higher fence, and its old lease settles nothing", async (store) => {
      await submit(store, [newJob()]);
      const [old] = await leaseAll(store);
      const { failure } = retried;
      const back = { ...retried, runAt: t0 + 5, crashes: 2 };
      await store.settle([settlement(old!, back)]);
      const waiting = await store.get({ client: "ada", id: old!.id });
      assert.deepEqual(waiting?.failure, failure);
      assert.deepEqual([waiting?.state, waiting?.finishedAt, waiting?.cursor], ["QUEUED", null, null]);
      const { leases } = await store.lease({ pool: "cpu", suspects: true, limit: 1, now: t0 + 5, ...asBoot1 });
      assert.deepEqual([leases[0]?.attempt, leases[0]?.fence, leases[0]?.crashes], [2, 2, 2]);
      assert.deepEqual(await store.settle([settlement(old!), settlement(leases[0]!)]), ["stale", "written"]);
    });

    check("suspects are leased by those who ask for them, and by nobody else", async (store) => {
      await submit(store, newJobs(3, { expiresAt: t0 + 99 }));
      for (const [index, lease] of (await leaseAll(store)).entries()) {
        const crashes = suspectAfterCrashes - (index === 0 ? 1 : 0);
        await store.settle([settlement(lease, { ...retried, crashes, runAt: t0 + index })]);
      }
      const asked = { pool: "cpu", limit: 10, now: t0 + 1, ...asBoot1 };
      const ahead = (seq: number) => store.ahead({ seq, now: t0 + 9, max: 10 });
      assert.deepEqual([await ahead(1), await ahead(2), await ahead(3)], [0, 0, 1], "each line by itself");
      assert.deepEqual((await store.oldest({ pools: ["cpu"], now: t0 + 9 }))[0]?.dueAt, t0);
      const eligible = await store.eligible({ pools: [{ pool: "cpu", max: 10 }], now: t0 + 9 });
      assert.deepEqual(eligible, [{ jobs: 1, oldestAt: t0 }], "suspects are not eligible for the others' workers");
      const suspects = await store.lease({ ...asked, suspects: true });
      assert.deepEqual(
        [suspects.leases.map(({ seq }) => seq), suspects.nextDueAt],
        [[2], t0 + 2],
        "due ones, and when the next is",
      );
      assert.deepEqual(await store.oldest({ pools: ["cpu"], now: t0 + 9 }), [{ dueAt: t0, diedAt: null }]);
      const others = await store.lease(asked);
      assert.deepEqual([others.leases.map(({ seq }) => seq), others.nextDueAt], [[1], null]);
      assert.deepEqual(await store.oldest({ pools: ["cpu"], now: t0 + 9 }), [{ dueAt: t0 + 2, diedAt: null }]);
      const late = await store.lease({ ...asked, now: t0 + 99, onlyExpired: true });
      assert.deepEqual(
        late.leases.map(({ seq }) => seq),
        [3],
        "of the overdue, either kind",
      );
    });

    check("higher priority goes first, and what is not due stands in nobody's way", async (store) => {
      const [low, plain, high, later] = [-5, 0, 9, 100].map((priority) => newJob({ priority }));
      const early = newJob({ runAt: t0 - 9 });
      await submit(store, [low!, plain!, high!, { ...later!, runAt: t0 + 50 }, early]);
      const take = async (limit: number, now: number) => {
        const { leases, nextDueAt } = await store.lease({ pool: "cpu", limit, now, ...asBoot1 });
        return { ids: leases.map(({ id }) => id), nextDueAt };
      };
      assert.deepEqual(await take(3, t0), { ids: [high!.id, early.id, plain!.id], nextDueAt: null });
      assert.deepEqual(await take(3, t0), { ids: [low!.id], nextDueAt: t0 + 50 });
      assert.deepEqual(await take(3, t0 + 50), { ids: [later!.id], nextDueAt: null });
    });

    check("jobs whose deadline passed are leased on request, and with the others", async (store) => {
      const late = newJob({ expiresAt: t0 + 1, priority: -3 });
      const jobs = [newJob({ expiresAt: t0 + 2 }), late, newJob({ expiresAt: t0 + 3 }), newJob()];
      await submit(store, [...jobs, newJob({ pool: "io", expiresAt: t0 + 1 })]);
      const take = async (now: number, onlyExpired: boolean, limit = 10) => {
        const { leases, nextDueAt } = await store.lease({ pool: "cpu", limit, now, ...asBoot1, onlyExpired });
        return { taken: leases.map(({ id }) => jobs.findIndex((job) => job.id === id)), nextDueAt };
      };
      assert.deepEqual(await take(t0, true), { taken: [], nextDueAt: null });
      assert.deepEqual(await take(t0 + 2, true, 1), { taken: [1], nextDueAt: null });
      assert.deepEqual(await take(t0 + 2, true), { taken: [0], nextDueAt: null });
      assert.deepEqual(await take(t0 + 3, false), { taken: [2, 3], nextDueAt: null });
    });

    check(
      "attempts that did not succeed are remembered, oldest first; one that never began counts no start",
      async (store) => {
        const job = newJob();
        await submit(store, [job]);
        const [first] = await leaseAll(store);
        await store.settle([settlement(first!, retried)]);
        const [second] = await leaseAll(store);
        await store.settle([
          settlement(second!, { outcome: "released", state: "QUEUED", attempt: 1, startedAt: null, output: null }),
        ]);
        const waiting = await store.get({ client: "ada", id: job.id });
        assert.deepEqual([waiting?.attempts, waiting?.startedAt], [1, t0 + 1]);
        assert.deepEqual(waiting?.failure, retried.failure, "a job given back keeps its last failure");
        const [third] = await leaseAll(store);
        await store.settle([settlement(third!, { ...died, startedAt: t0 + 5, finishedAt: t0 + 6 })]);
        const dead = await store.get({ client: "ada", id: job.id });
        const past = { attempt: 1, outcome: "failed", failure: retried.failure, startedAt: t0 + 1, finishedAt: t0 + 2 };
        assert.deepEqual(dead?.history, [
          past,
          { ...past, attempt: 2, failure: died.failure, startedAt: t0 + 5, finishedAt: t0 + 6 },
        ]);
        assert.deepEqual([dead?.deadReason, dead?.startedAt], ["permanent", t0 + 5]);
      },
    );

    check("calls made without waiting take effect in the order they were made", async (store) => {
      const submitted = submit(store, newJobs(2));
      const leased = store.lease({ pool: "cpu", limit: 10, now: t0, ...asBoot1 });
      const empty = store.lease({ pool: "cpu", limit: 10, now: t0, ...asBoot1 });
      assert.equal((await leased).leases.length, 2);
      assert.equal((await empty).leases.length, 0);
      await submitted;
      const settled = store.settle((await leased).leases.map((lease) => settlement(lease)));
      const found = resultsOf(store);
      const acked = store.ack([{ client: "ada", channel: "default", cursor: 2 }]);
      const after = resultsOf(store);
      assert.deepEqual(await settled, ["written", "written"]);
      assert.deepEqual(
        (await found).results.map(({ cursor }) => cursor),
        [1, 2],
      );
      assert.deepEqual(await acked, [{ kind: "acknowledged", cursor: 2 }]);
      assert.deepEqual(await after, { results: [], lastCursor: 2, ackedCursor: 2 });
    });

    check("closing finishes what was asked for, may be repeated, and refuses what comes later", async (store) => {
      const submitted = submit(store, [newJob()]);
      await Promise.all([store.close(), store.close()]);
      await store.close();
      assert.deepEqual(await submitted, [{ kind: "accepted" }]);
      await assert.rejects(store.counts(), { name: "MillpondError", reason: "store_failed" });
    });
  });

  describe(`${name}: hints`, () => hintsConformance(check));
  describe(`${name}: leases`, () => leasesConformance(check));
  describe(`${name}: history`, () => historyConformance(check));
  describe(`${name}: looking`, () => lookConformance(check));
  describe(`${name}: cancel, redrive, remove`, () => lettersConformance(check));
  describe(`${name}: channels`, () => channelConformance(check));
  describe(`${name}: retention`, () => retentionConformance(check));
  describe(`${name}: overrides of pools`, () => overridesConformance(check));

  describe(`${name}: reopened`, () => reopenConformance(open));
}
