import assert from "node:assert/strict";
import type { Check } from "./conformance.ts";
import { asBoot1, data, inputOf, leaseAll, newJobs, retried, settlement, submit, t0 } from "./sample.ts";

/** The part of the suite about when leases end: by themselves, later than that, or with the process that held them. */
export function leasesConformance(check: Check): void {
  check("what a process left that is gone is expired at once, oldest first, until it is settled", async (store) => {
    await submit(store, newJobs(3));
    await store.lease({ pool: "cpu", limit: 2, now: t0, ...asBoot1 });
    await store.lease({ pool: "cpu", limit: 1, now: t0, ...asBoot1, owner: "boot-2" });
    const asked = { now: t0, limit: 10 };
    assert.deepEqual(await store.expired(asked), []);
    assert.equal(await store.recover({ owner: "boot-1" }), 2);
    const left = await store.expired(asked);
    assert.deepEqual(
      left.map((lease) => {
        const { attempt, fence, isOwnerGone } = lease;
        return { attempt, fence, input: inputOf(lease), isOwnerGone };
      }),
      [
        { attempt: 1, fence: 1, input: data("in"), isOwnerGone: true },
        { attempt: 1, fence: 1, input: data("in"), isOwnerGone: true },
      ],
    );
    assert.deepEqual(await store.expired({ ...asked, limit: 1 }), [left[0]]);
    assert.deepEqual(await store.settle([settlement(left[0]!, retried)]), ["written"]);
    assert.deepEqual(await store.expired(asked), [left[1]]);
    await store.lease({ pool: "cpu", limit: 1, now: t0 + 9, ...asBoot1, owner: "boot-2" });
    const late = await store.expired({ ...asked, now: t0 * 2 });
    assert.deepEqual(
      late.map(({ seq, isOwnerGone }) => [seq, isOwnerGone]),
      [
        [1, false],
        [2, true],
        [3, false],
      ],
      "who leased it since is another",
    );
    assert.equal(await store.recover({ owner: "boot-3" }), 0);
  });

  check(
    "a lease brings no more bytes than asked for, one job at least, and says that there are more",
    async (store) => {
      const take = async (maxBytes: number) => {
        const { leases, nextDueAt } = await store.lease({ pool: "cpu", limit: 1_000, maxBytes, now: t0, ...asBoot1 });
        return { seqs: leases.map(({ seq }) => seq), nextDueAt };
      };
      await submit(store, newJobs(500, { input: data(1_000) }));
      const some = await take(10_000);
      assert.ok(some.seqs.length > 5 && some.seqs.length <= 10, `${some.seqs.length} jobs`);
      assert.equal(some.nextDueAt, t0);
      const one = await take(1);
      assert.deepEqual([one.seqs.length, one.nextDueAt], [1, t0]);
      const rest = await take(1_000_000);
      assert.equal(rest.nextDueAt, null);
      assert.deepEqual(
        [...some.seqs, ...one.seqs, ...rest.seqs],
        Array.from({ length: 500 }, (_, index) => index + 1),
      );
    },
  );

  check("a lease that is extended ends later, and tells that its job was cancelled", async (store) => {
    await submit(store, newJobs(2));
    const [first, second] = await leaseAll(store);
    const overdue = async (now: number) => (await store.expired({ now, limit: 10 })).map(({ seq }) => seq);
    const until = t0 + asBoot1.leaseMs;
    assert.deepEqual(await overdue(until), []);
    assert.deepEqual(await overdue(until + 1), [first!.seq, second!.seq]);
    const stranger = { seq: first!.seq, fence: first!.fence + 1 };
    const extend = (...leases: { seq: number; fence: number }[]) => store.extend({ leases, now: until, leaseMs: 5 });
    assert.deepEqual(await extend(first!, stranger, { seq: 999, fence: 1 }), ["held", "lost", "lost"]);
    assert.deepEqual(await overdue(until + 1), [second!.seq]);
    await store.cancel({ client: "ada", ids: [second!.id], now: t0 });
    assert.deepEqual(await extend(second!), ["cancelling"]);
    assert.deepEqual(await overdue(until + 5), []);
    await store.settle([settlement(first!)]);
    assert.deepEqual(await extend(first!), ["lost"]);
  });

  check("an expired lease says whose it was", async (store) => {
    await submit(store, newJobs(1));
    const [lease] = await leaseAll(store);
    const ended = { ...lease, owner: "boot-1", isOwnerGone: false };
    assert.deepEqual(await store.expired({ now: t0 + asBoot1.leaseMs + 1, limit: 10 }), [ended]);
  });
}
