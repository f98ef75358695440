import assert from "node:assert/strict";
import type { Store } from "../../src/store/store.ts";
import {
  data,
  everything,
  finish,
  leaseAll,
  newJob,
  newJobs,
  pruneAcknowledged,
  resultsOf,
  settlement,
  t0,
} from "./sample.ts";

type Check = (sentence: string, body: (store: Store) => Promise<void>) => void;

const cursors = (found: { readonly results: readonly { readonly cursor: number }[] }) =>
  found.results.map(({ cursor }) => cursor);

/** The part of the suite about results, acknowledgements and retention. */
export function channelConformance(check: Check): void {
  check("results carry the whole outcome, in the order in which jobs became final", async (store) => {
    const jobs = newJobs(3);
    await store.submit(jobs);
    const [a, b, c] = await leaseAll(store);
    const failure = { reason: "bad", message: "no such thing", retryable: false, details: { width: 5 } };
    await store.settle([settlement(c!, { state: "DEAD", output: null, failure, attempt: 3 }), settlement(a!)]);
    await store.settle([settlement(b!, { state: "CANCELLED", output: null })]);
    const times = { submittedAt: t0, startedAt: t0 + 1, finishedAt: t0 + 2 };
    const rest = { task: "echo", failure: null, attempts: 1, output: null, ...times };
    assert.deepEqual(await resultsOf(store), {
      results: [
        { ...rest, cursor: 1, id: c!.id, state: "DEAD", failure, attempts: 3 },
        { ...rest, cursor: 2, id: a!.id, state: "SUCCEEDED", output: data("out") },
        { ...rest, cursor: 3, id: b!.id, state: "CANCELLED" },
      ],
      lastCursor: 3,
    });
  });

  check("each channel of each client counts its results from 1, without gaps", async (store) => {
    const places = [
      ["ada", "default"],
      ["ada", "x"],
      ["eve", "default"],
    ] as const;
    await finish(
      store,
      Array.from({ length: 9 }, (_, i) => newJob({ client: places[i % 3]![0], channel: places[i % 3]![1] })),
    );
    for (const [client, channel] of places) {
      assert.deepEqual(cursors(await resultsOf(store, 0, channel, client)), [1, 2, 3]);
    }
    assert.deepEqual(await resultsOf(store, 0, "never", "ada"), { results: [], lastCursor: 0 });
  });

  check("reading resumes after any position, at most limit results at a time", async (store) => {
    await finish(store, newJobs(5));
    const read = (afterCursor: number, limit: number) =>
      store.results({ client: "ada", channel: "default", afterCursor, limit, maxBytes: 1_000 });
    assert.deepEqual(cursors(await read(0, 2)), [1, 2]);
    assert.deepEqual(cursors(await read(2, 2)), [3, 4]);
    assert.deepEqual(cursors(await read(4, 2)), [5]);
    assert.deepEqual(await read(5, 2), { results: [], lastCursor: 5 });
    assert.deepEqual(await read(77, 2), { results: [], lastCursor: 5 });
  });

  check("outputs stay within maxBytes, and one that is larger comes alone", async (store) => {
    await store.submit(newJobs(5));
    const sizes = [10, 20, 5_000, 0, 30];
    const leases = await leaseAll(store);
    await store.settle(leases.map((lease, i) => settlement(lease, { output: data(sizes[i]!) })));
    const read = async (afterCursor: number, maxBytes: number) =>
      cursors(await store.results({ client: "ada", channel: "default", afterCursor, limit: 10, maxBytes }));
    assert.deepEqual(await read(0, 29), [1]);
    assert.deepEqual(await read(0, 30), [1, 2]);
    assert.deepEqual(await read(2, 30), [3]);
    assert.deepEqual(await read(3, 30), [4, 5]);
    assert.deepEqual(await read(2, 5_030), [3, 4, 5]);
  });

  check("what is acknowledged never comes back, and an older acknowledgement changes nothing", async (store) => {
    await finish(store, newJobs(4));
    const ack = (cursor: number) => store.ack([{ client: "ada", channel: "default", cursor }]);
    assert.deepEqual(await ack(2), [{ kind: "acknowledged", cursor: 2 }]);
    assert.deepEqual(await ack(1), [{ kind: "acknowledged", cursor: 2 }]);
    assert.deepEqual(await ack(5), [{ kind: "out_of_range", lastCursor: 4 }]);
    assert.deepEqual(cursors(await resultsOf(store, 0)), [3, 4]);
    assert.deepEqual(await ack(4), [{ kind: "acknowledged", cursor: 4 }]);
    assert.deepEqual(await resultsOf(store, 0), { results: [], lastCursor: 4 });
  });

  check("one call acknowledges several channels, each by its own rule", async (store) => {
    await finish(store, [newJob(), newJob({ channel: "x" })]);
    const answers = await store.ack([
      { client: "ada", channel: "default", cursor: 1 },
      { client: "ada", channel: "x", cursor: 2 },
      { client: "eve", channel: "default", cursor: 1 },
      { client: "eve", channel: "default", cursor: 0 },
    ]);
    assert.deepEqual(answers, [
      { kind: "acknowledged", cursor: 1 },
      { kind: "out_of_range", lastCursor: 1 },
      { kind: "out_of_range", lastCursor: 0 },
      { kind: "acknowledged", cursor: 0 },
    ]);
    assert.deepEqual(cursors(await resultsOf(store, 0, "x")), [1]);
  });

  check(
    "retention removes acknowledged results of before its time, oldest first, and frees their ids",
    async (store) => {
      const jobs = newJobs(4, { input: data(5_000) });
      await store.submit(jobs);
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
        (await store.list(everything)).map(({ id }) => id),
        [jobs[3]!.id],
      );
      assert.deepEqual(cursors(await resultsOf(store, 0)), [4]);
      assert.equal((await store.counts()).pools[0]?.SUCCEEDED, 1);
      assert.deepEqual(await store.submit([jobs[0]!]), [{ kind: "accepted" }]);
      const [again] = await leaseAll(store);
      assert.ok(again!.seq > leases[3]!.seq, "a seq is never given twice");
    },
  );

  check(
    "retention removes unacknowledged results from a channel's start only, so that readers see no gap",
    async (store) => {
      await store.submit(newJobs(4));
      const leases = await leaseAll(store);
      const ends = [{}, { state: "DEAD" as const }, {}, {}];
      await store.settle(leases.map((lease, i) => settlement(lease, { finishedAt: t0 + i, ...ends[i] })));
      const request = { ...pruneAcknowledged, unacknowledgedBefore: t0 + 3, deadBefore: t0 };
      assert.equal(await store.prune(request), 1);
      assert.deepEqual(cursors(await resultsOf(store, 0)), [2, 3, 4]);
      assert.equal(await store.prune({ ...request, deadBefore: t0 + 2 }), 2);
      assert.deepEqual(cursors(await resultsOf(store, 0)), [4]);
    },
  );

  check("retention keeps dead letters for their own time, acknowledged or not", async (store) => {
    await store.submit(newJobs(3));
    const leases = await leaseAll(store);
    const ends = [{ state: "DEAD" as const }, { state: "CANCELLED" as const }, { state: "DEAD" as const }];
    await store.settle(leases.map((lease, i) => settlement(lease, { finishedAt: t0 + i, ...ends[i] })));
    await store.ack([{ client: "ada", channel: "default", cursor: 3 }]);
    assert.equal(await store.prune(pruneAcknowledged), 1);
    assert.deepEqual(
      (await store.list(everything)).map(({ state }) => state),
      ["DEAD", "DEAD"],
    );
    assert.equal(await store.prune({ ...pruneAcknowledged, deadBefore: t0 + 2 }), 1);
    assert.equal(await store.prune({ ...pruneAcknowledged, deadBefore: t0 + 3, limit: 5 }), 1);
    assert.deepEqual(await store.list(everything), []);
  });

  check("retention never removes what is not final", async (store) => {
    await store.submit(newJobs(2));
    await store.lease({ pool: "cpu", limit: 1, now: t0, owner: "boot-1" });
    const all = { acknowledgedBefore: t0 * 2, unacknowledgedBefore: t0 * 2, deadBefore: t0 * 2, limit: 10 };
    assert.equal(await store.prune(all), 0);
  });
}
