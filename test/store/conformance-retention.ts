import assert from "node:assert/strict";
import { idempotencyMs } from "../../src/job/job.ts";
import { cursors } from "./conformance-channels.ts";
import type { Check } from "./conformance.ts";
import {
  asBoot1,
  data,
  died,
  everything,
  finish,
  leaseAll,
  listAll,
  newJob,
  newJobs,
  pruneAcknowledged,
  pruneNothing,
  resultsOf,
  settlement,
  stopped,
  t0,
  submit,
} from "./sample.ts";

/** The part of the suite about what `prune` removes and what it leaves. */
export function retentionConformance(check: Check): void {
  check(
    "retention removes acknowledged results of before its time, oldest first, and frees their ids",
    async (store) => {
      const jobs = newJobs(4, { input: data(5_000) });
      await submit(store, jobs);
      const leases = await leaseAll(store);
      await store.settle(leases.map((lease, i) => settlement(lease, { finishedAt: t0 + i, output: data(3_000) })));
      await store.ack([{ client: "ada", channel: "default", cursor: 3 }]);
      assert.equal(await store.prune({ ...pruneAcknowledged, acknowledgedBefore: t0 }), 0);
      assert.equal(await store.prune({ ...pruneAcknowledged, limit: 1 }), 1);
      assert.equal(await store.get({ client: "ada", id: jobs[0]!.id }), null);
      assert.equal(await store.prune({ ...pruneAcknowledged, acknowledgedBefore: t0 + 2 }), 1);
      assert.equal(await store.prune(pruneAcknowledged), 1);
      assert.equal(await store.prune(pruneAcknowledged), 0);
      assert.deepEqual(
        (await listAll(store)).map(({ id }) => id),
        [jobs[3]!.id],
      );
      assert.deepEqual(cursors(await resultsOf(store, 0)), [4]);
      assert.equal((await store.counts()).pools[0]?.SUCCEEDED, 1);
      assert.deepEqual(await submit(store, [jobs[0]!]), [{ kind: "accepted" }]);
      const [again] = await leaseAll(store);
      assert.ok(again!.seq > leases[3]!.seq, "a seq is never given twice");
    },
  );

  check(
    "retention removes unacknowledged results from a channel's start only, so that readers see no gap",
    async (store) => {
      await submit(store, newJobs(4));
      const leases = await leaseAll(store);
      const ends = [{}, died, {}, {}];
      await store.settle(leases.map((lease, i) => settlement(lease, { finishedAt: t0 + i, ...ends[i] })));
      const request = { ...pruneAcknowledged, unacknowledgedBefore: t0 + 3, deadBefore: t0 };
      assert.equal(await store.prune(request), 1);
      assert.deepEqual(cursors(await resultsOf(store, 0)), [2, 3, 4]);
      assert.equal(await store.prune({ ...request, deadBefore: t0 + 2 }), 2);
      assert.deepEqual(cursors(await resultsOf(store, 0)), [4]);
    },
  );

  check("retention keeps dead letters for their own time, acknowledged or not", async (store) => {
    await submit(store, newJobs(3));
    const leases = await leaseAll(store);
    const ends = [died, stopped, died];
    await store.settle(leases.map((lease, i) => settlement(lease, { finishedAt: t0 + i, ...ends[i] })));
    await store.ack([{ client: "ada", channel: "default", cursor: 3 }]);
    assert.equal(await store.prune(pruneAcknowledged), 1);
    assert.deepEqual(
      (await listAll(store)).map(({ state }) => state),
      ["DEAD", "DEAD"],
    );
    assert.equal(await store.prune({ ...pruneAcknowledged, deadBefore: t0 + 2 }), 1);
    assert.equal(await store.prune({ ...pruneAcknowledged, deadBefore: t0 + 3, limit: 5 }), 1);
    assert.deepEqual(await listAll(store), []);
  });

  check("retention never removes what is not final", async (store) => {
    await submit(store, newJobs(2));
    await store.lease({ pool: "cpu", limit: 1, now: t0, ...asBoot1 });
    const times = { acknowledgedBefore: t0 * 2, unacknowledgedBefore: t0 * 2, deadBefore: t0 * 2 };
    const none = { jobs: 0, bytes: 0 };
    assert.equal(await store.prune({ ...pruneNothing, ...times, maxFinished: none, maxDead: none }), 0);
    assert.equal((await listAll(store)).length, 2);
  });

  check("retention treats a job without a channel as acknowledged", async (store) => {
    await finish(store, newJobs(2, { channel: null }));
    await finish(store, newJobs(1, { channel: null }), died);
    assert.equal(await store.prune({ ...pruneNothing, unacknowledgedBefore: t0 * 2 }), 0);
    assert.equal(await store.prune(pruneAcknowledged), 2);
    assert.equal(await store.prune({ ...pruneNothing, deadBefore: t0 * 2 }), 1);
  });

  check("over the bound on finished jobs the oldest go first, from whichever channel", async (store) => {
    const jobs = Array.from({ length: 6 }, (_, i) => newJob({ channel: i % 2 ? "x" : "default" }));
    await submit(store, jobs);
    const leases = await leaseAll(store);
    await store.settle(leases.map((lease, i) => settlement(lease, { finishedAt: t0 + i })));
    const keep = (kept: number, limit = 1_000) =>
      store.prune({ ...pruneNothing, maxFinished: { jobs: kept, bytes: Infinity }, limit });
    assert.equal(await keep(6), 0);
    assert.equal(await keep(3, 1), 1);
    assert.equal(await keep(3), 2);
    assert.deepEqual(cursors(await resultsOf(store)), [3]);
    assert.deepEqual(cursors(await resultsOf(store, 0, "x")), [2, 3]);
  });

  check("over the bound on bytes jobs go until the records of those left fit", async (store) => {
    const [large] = await finish(store, newJobs(3, { input: data(3_000) }), { output: data(100) });
    const [small] = await finish(store, newJobs(1, { input: data(50) }), stopped);
    const each = large!.record.length + settlement(large!, { output: data(100) }).ending!.length;
    const rest = small!.record.length + 2 * settlement(small!, stopped).ending!.length; // it is in the history too
    const keep = (bytes: number) => store.prune({ ...pruneNothing, maxFinished: { jobs: Infinity, bytes } });
    assert.equal(await keep(3 * each + rest), 0);
    assert.equal(await keep(3 * each + rest - 1), 1);
    assert.equal(await keep(rest), 2);
    assert.equal(await keep(rest - 1), 1);
    assert.deepEqual(await listAll(store), []);
  });

  check(
    "a dead letter in front of too many finished jobs loses its place in the channel, not its life",
    async (store) => {
      const [dead] = await finish(store, newJobs(1), died);
      await finish(store, newJobs(3));
      assert.equal(await store.prune({ ...pruneNothing, maxFinished: { jobs: 1, bytes: Infinity } }), 3);
      assert.deepEqual(cursors(await resultsOf(store)), [4]);
      assert.equal((await store.get({ client: "ada", id: dead!.id }))?.state, "DEAD");
    },
  );

  check(
    "over the bound on dead letters the oldest go, and what nobody read of them stays in the channel",
    async (store) => {
      await finish(store, newJobs(1));
      await submit(store, newJobs(3));
      const leases = await leaseAll(store);
      await store.settle(leases.map((lease, i) => settlement(lease, { ...died, finishedAt: t0 + 9 - i })));
      assert.equal(await store.prune({ ...pruneNothing, maxDead: { jobs: 1, bytes: Infinity } }), 2);
      assert.deepEqual(
        (await store.list({ ...everything, state: "DEAD" })).jobs.map(({ id }) => id),
        [leases[0]!.id],
      );
      assert.deepEqual(cursors(await resultsOf(store)), [1, 2, 3, 4]);
      assert.equal(await store.prune({ ...pruneNothing, maxDead: { jobs: 9, bytes: 3 } }), 1);
      assert.equal(await store.prune({ ...pruneNothing, unacknowledgedBefore: t0 * 2 }), 4);
      assert.deepEqual(await resultsOf(store), { results: [], lastCursor: 4, ackedCursor: 0 });
    },
  );

  check("a key is forgotten after its day, not before, with its job or without", async (store) => {
    const keyed = newJob({ idempotencyKey: "k" });
    await finish(store, [keyed]);
    await store.ack([{ client: "ada", channel: "default", cursor: 1 }]);
    const early = { ...pruneAcknowledged, now: t0 + idempotencyMs - 1 };
    assert.equal(await store.prune(early), 1);
    const again = newJob({ idempotencyKey: "k" });
    assert.deepEqual(await submit(store, [again]), [{ kind: "duplicate", id: keyed.id, cursor: null }]);
    assert.equal(await store.prune({ ...early, now: t0 + idempotencyMs }), 1, "the key");
    assert.deepEqual(await submit(store, [again]), [{ kind: "accepted" }]);
  });
}
