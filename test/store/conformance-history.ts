import assert from "node:assert/strict";
import { type Lease, maxHistory } from "../../src/job/job.ts";
import { encodeJob } from "../../src/job/record.ts";
import type { Check } from "./conformance.ts";
import { leaseAll, newJob, pruneNothing, retried, settlement, stopped, t0, submit } from "./sample.ts";

/** The part of the suite about what is kept of attempts that are over. */
export function historyConformance(check: Check): void {
  check("a lost attempt leaves no start, neither its own nor that of the attempt before", async (store) => {
    const job = newJob();
    await submit(store, [job]);
    const look = async () => (await store.get({ client: "ada", id: job.id }))!;
    const [first] = await leaseAll(store);
    await store.settle([settlement(first!, retried)]);
    const [second] = await leaseAll(store);
    await store.settle([settlement(second!, { ...retried, outcome: "lost", startedAt: null })]);
    const lost = await look();
    assert.deepEqual(
      lost.history.map(({ attempt, startedAt }) => [attempt, startedAt]),
      [
        [1, t0 + 1],
        [2, null],
      ],
    );
    assert.deepEqual([lost.attempts, lost.startedAt], [2, null]);
    const [third] = await leaseAll(store);
    await store.settle([
      settlement(third!, { outcome: "released", state: "QUEUED", attempt: 2, startedAt: null, output: null }),
    ]);
    assert.equal((await look()).startedAt, null, "that of the last attempt that counts");
  });

  check("a history keeps the newest attempts", async (store) => {
    const job = newJob();
    await submit(store, [job]);
    let last: Lease | undefined;
    for (let n = 1; n <= maxHistory + 3; n += 1) {
      const [lease] = await leaseAll(store);
      last = lease;
      await store.settle([settlement(lease!, { ...retried, attempt: 1, startedAt: t0 + n })]);
    }
    const { history } = (await store.get({ client: "ada", id: job.id }))!;
    assert.deepEqual(
      [history.length, history[0]?.startedAt, history.at(-1)?.startedAt],
      [maxHistory, t0 + 4, t0 + 103],
    );
    await store.cancel({ client: "ada", ids: [job.id], now: t0 });
    const cancelled = settlement(last!, { ...stopped, attempt: 1, ended: { number: 0, startedAt: null } });
    const past = settlement(last!, { ...retried, attempt: 1 });
    const sizes = [encodeJob(job), cancelled.ending, past.ending].map((bytes) => bytes?.length ?? 0);
    const bytes = (count: number) => sizes[0]! + sizes[1]! + count * sizes[2]!;
    const keep = (limit: number) => store.prune({ ...pruneNothing, maxFinished: { jobs: 9, bytes: limit } });
    assert.deepEqual([await keep(bytes(maxHistory)), await keep(bytes(maxHistory) - 1)], [0, 1]);
  });
}
