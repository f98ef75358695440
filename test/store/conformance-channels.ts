import assert from "node:assert/strict";
import type { Check } from "./conformance.ts";
import { data, died, finish, leaseAll, newJob, newJobs, resultsOf, settlement, stopped, t0, submit } from "./sample.ts";

export const cursors = (found: { readonly results: readonly { readonly cursor: number }[] }) =>
  found.results.map(({ cursor }) => cursor);

/** The part of the suite about results and acknowledgements. */
export function channelConformance(check: Check): void {
  check("results carry the whole outcome, in the order in which jobs became final", async (store) => {
    const labels = { kind: "night", "a b.c": '"x"' };
    const jobs = [newJob(), newJob({ labels, timeoutMs: 5 }), newJob()];
    await submit(store, jobs);
    const [a, b, c] = await leaseAll(store);
    await store.settle([settlement(c!, { ...died, attempt: 3 }), settlement(a!)]);
    await store.settle([settlement(b!, { ...stopped, attempt: 0, startedAt: null })]);
    const rest = { task: "echo", redrives: 0, labels: {}, submittedAt: t0, startedAt: t0 + 1, finishedAt: t0 + 2 };
    const plain = { ...rest, output: null, failure: null, deadReason: null, attempts: 1 };
    const dead = { state: "DEAD", failure: died.failure, deadReason: "permanent" };
    assert.deepEqual(await resultsOf(store), {
      results: [
        { ...plain, ...dead, cursor: 1, id: c!.id, attempts: 3 },
        { ...plain, cursor: 2, id: a!.id, state: "SUCCEEDED", output: data("out") },
        {
          ...{ ...plain, cursor: 3, id: b!.id, state: "CANCELLED" },
          ...{ attempts: 0, startedAt: null, labels, failure: stopped.failure },
        },
      ],
      lastCursor: 3,
      ackedCursor: 0,
    });
  });

  check("a job without a channel leaves no result anywhere", async (store) => {
    const [lease] = await finish(store, [newJob({ channel: null })]);
    for (const channel of ["default", ""]) {
      assert.deepEqual(await resultsOf(store, 0, channel), { results: [], lastCursor: 0, ackedCursor: 0 });
      assert.deepEqual(await store.ack([{ client: "ada", channel, cursor: 1 }]), [
        { kind: "out_of_range", lastCursor: 0 },
      ]);
    }
    const job = await store.get({ client: "ada", id: lease!.id });
    assert.deepEqual([job?.state, job?.channel, job?.cursor], ["SUCCEEDED", null, null]);
    const again = newJob({ id: lease!.id, channel: null });
    assert.deepEqual(await submit(store, [again]), [{ kind: "duplicate", id: lease!.id, cursor: null }]);
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
    assert.deepEqual(await resultsOf(store, 0, "never", "ada"), { results: [], lastCursor: 0, ackedCursor: 0 });
  });

  check("reading resumes after any position, at most limit results at a time", async (store) => {
    await finish(store, newJobs(5));
    const read = (afterCursor: number, limit: number) =>
      store.results({ client: "ada", channel: "default", afterCursor, limit, maxBytes: 1_000 });
    assert.deepEqual(cursors(await read(0, 2)), [1, 2]);
    assert.deepEqual(cursors(await read(2, 2)), [3, 4]);
    assert.deepEqual(cursors(await read(4, 2)), [5]);
    assert.deepEqual(await read(5, 2), { results: [], lastCursor: 5, ackedCursor: 0 });
    assert.deepEqual(await read(77, 2), { results: [], lastCursor: 5, ackedCursor: 0 });
    assert.deepEqual(
      await read(0, 0),
      { results: [], lastCursor: 5, ackedCursor: 0 },
      "who asks for none learns the last position",
    );
  });

  check("results stay within maxBytes, and one that is larger comes alone", async (store) => {
    await submit(store, newJobs(5));
    const sizes = [10, 20, 5_000, 0, 30];
    const leases = await leaseAll(store);
    const settlings = leases.map((lease, i) => settlement(lease, { output: data(sizes[i]!) }));
    await store.settle(settlings);
    const [first = 0, second = 0, third = 0, fourth = 0, fifth = 0] = settlings.map(({ ending }) => ending?.length);
    const read = async (afterCursor: number, maxBytes: number) =>
      cursors(await store.results({ client: "ada", channel: "default", afterCursor, limit: 10, maxBytes }));
    assert.deepEqual(await read(0, first + second - 1), [1]);
    assert.deepEqual(await read(0, first + second), [1, 2]);
    assert.deepEqual(await read(2, 30), [3]);
    assert.deepEqual(await read(3, fourth + fifth), [4, 5]);
    assert.deepEqual(await read(2, third + fourth + fifth), [3, 4, 5]);
  });

  check("what is acknowledged never comes back, and an older acknowledgement changes nothing", async (store) => {
    await finish(store, newJobs(4));
    const ack = (cursor: number) => store.ack([{ client: "ada", channel: "default", cursor }]);
    assert.deepEqual(await ack(2), [{ kind: "acknowledged", cursor: 2 }]);
    assert.deepEqual(await ack(1), [{ kind: "acknowledged", cursor: 2 }]);
    assert.deepEqual(await ack(5), [{ kind: "out_of_range", lastCursor: 4 }]);
    assert.deepEqual(cursors(await resultsOf(store, 0)), [3, 4]);
    assert.deepEqual(await ack(4), [{ kind: "acknowledged", cursor: 4 }]);
    assert.deepEqual(await resultsOf(store, 0), { results: [], lastCursor: 4, ackedCursor: 4 });
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
}
