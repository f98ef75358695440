/** A store as it is after a day of work: jobs that ended long ago and whose results were acknowledged. */
import { type NewJob, noLabels } from "../../../src/job/job.ts";
import { encodeEnding } from "../../../src/job/ending.ts";
import { encodeJob } from "../../../src/job/record.ts";
import { transition } from "../../../src/job/transition.ts";
import { defaultRetryPolicy } from "../../../src/job/backoff.ts";
import { newId } from "../../../src/job/id.ts";
import { openSqliteStore } from "../../../src/store/sqlite.ts";

const perBatch = 1_000;
const encoder = new TextEncoder();
const output = { kind: "data", type: "", bytes: encoder.encode("done") } as const;

/** Makes `count` SUCCEEDED jobs with small inputs and outputs in a new store at `path`; they ended `ageMs` ago. */
export async function makeOldJobs(path: string, count: number, ageMs: number): Promise<void> {
  const at = Date.now() - ageMs;
  const store = await openSqliteStore({
    path,
    onFailure(error) {
      throw error;
    },
  });
  const where = { client: "anonymous", channel: "old", pool: "cpu", task: "no-op" };
  for (let made = 0; made < count; made += perBatch) {
    const now = at + made / perBatch;
    const jobs = Array.from({ length: Math.min(perBatch, count - made) }, () => newJob(now, where));
    await store.submit(jobs.map((job) => ({ job, record: encodeJob(job), content: null })));
    const request = { pool: where.pool, owner: "bench", limit: perBatch, now, leaseMs: 60_000 };
    const { leases } = await store.lease(request);
    await store.settle(
      leases.map((lease) => {
        const span = { startedAt: now, finishedAt: now };
        const settlement = transition(lease, { kind: "succeeded", output }, defaultRetryPolicy, span, Math.random);
        return { settlement, ending: encodeEnding(lease, settlement) };
      }),
    );
    await store.ack([{ client: where.client, channel: where.channel, cursor: made + leases.length }]);
  }
  await store.close();
}

function newJob(now: number, where: Pick<NewJob, "client" | "channel" | "pool" | "task">): NewJob {
  return {
    ...where,
    ...{ id: newId(now), maxAttempts: 4, priority: 0, runAt: now, expiresAt: null, submittedAt: now },
    ...{ trace: null, idempotencyKey: null, labels: noLabels, memo: "", timeoutMs: null, retry: null },
    input: { kind: "data", type: "", bytes: encoder.encode("a hundred bytes of work to do, more or less".padEnd(100)) },
  };
}
