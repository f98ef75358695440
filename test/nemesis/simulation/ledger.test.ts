/** When the ledger takes a lease for one that comes before the time of its job. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Lease } from "../../../src/job/job.ts";
import { createMemoryStore } from "../../../src/store/memory.ts";
import { newJob, settlement, submission, t0 } from "../../store/sample.ts";
import { createLedger } from "./ledger.ts";
import { createRecord } from "./record.ts";
import { createWorld } from "./world.ts";

const hourMs = 3_600_000;

/** A job that is due at `t0`, and two processes that share its store: one whose clock is an hour behind, one that dies. */
async function makeStory() {
  const world = createWorld();
  const record = createRecord(world);
  const ledger = createLedger({ world, record, isAlive: (owner) => owner === "boot-1", isShared: () => true });
  const store = createMemoryStore();
  const job = newJob();

  function makeProcess(owner: string, startedAt: number) {
    const trueNow = () => startedAt + world.nowMs();
    const caller = { owner, trueNow };
    return {
      async submit(): Promise<void> {
        const request = [submission(job)];
        ledger.sent(job.id, job.runAt);
        ledger.applied({ method: "submit", request }, await store.submit(request), caller);
      },
      /** `now`: what the process takes for the time. */
      async lease(now = trueNow()): Promise<Lease | undefined> {
        const request = { pool: job.pool, limit: 1, now, owner, leaseMs: 1_000 };
        const answer = await store.lease(request);
        ledger.applied({ method: "lease", request }, answer, caller);
        return answer.leases[0];
      },
      /** The attempt of a lease ends; the job is to be tried again after 50 ms. */
      async retry(lease: Lease, outcome: "failed" | "lost"): Promise<void> {
        if (outcome === "failed") ledger.finished(lease, "run", caller);
        const now = trueNow();
        const failure = { reason: outcome, message: "not this time", retryable: true, retryAfterMs: 50 };
        const after = { state: "QUEUED", output: null, failure, finishedAt: now, runAt: now + 50 } as const;
        const request = [settlement(lease, { outcome, ...after })];
        ledger.applied({ method: "settle", request }, await store.settle(request), caller);
      },
    };
  }

  const [behind, ahead] = [makeProcess("boot-1", t0 - hourMs), makeProcess("boot-2", t0)];
  return { world, job: job.id, breaches: record.breaches, behind, ahead };
}

test("a job is not early that another process found due by a clock that is ahead, and lost", async () => {
  const { world, breaches, behind, ahead } = await makeStory();
  await ahead.submit();
  const lease = await ahead.lease();
  assert.ok(lease);
  await behind.retry(lease, "lost");
  assert.equal(await behind.lease(), undefined, "it waits for its retry");
  await world.advance(50);

  assert.ok(await behind.lease());

  assert.deepEqual(breaches, []);
});

test("a job is early that a process leases before it is due by the clock of that process", async () => {
  const { breaches, job, behind, ahead } = await makeStory();
  await ahead.submit();

  assert.ok(await behind.lease(t0));

  assert.deepEqual(breaches, [{ invariant: "I14", text: `leased ${hourMs} ms before its time`, job }]);
});

test("a job is early that is leased before its retry is due", async () => {
  const { world, breaches, job, ahead } = await makeStory();
  await ahead.submit();
  const lease = await ahead.lease();
  assert.ok(lease);
  await ahead.retry(lease, "failed");
  await world.advance(20);

  assert.ok(await ahead.lease(t0 + hourMs));

  assert.deepEqual(breaches, [{ invariant: "I14", text: "leased 30 ms before its time", job }]);
});
