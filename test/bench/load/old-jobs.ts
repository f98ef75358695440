/** A store as it is after a day of work: jobs that ended long ago and whose results were acknowledged. */
import type { NewJob } from "../../../src/job/job.ts";
import { newId } from "../../../src/job/id.ts";
import { openSqliteStore } from "../../../src/store/sqlite.ts";

const perBatch = 1_000;
const encoder = new TextEncoder();

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
    await store.submit(Array.from({ length: Math.min(perBatch, count - made) }, () => newJob(now, where)));
    const request = { pool: where.pool, owner: "bench", limit: perBatch, now, leaseMs: 60_000 };
    const { leases } = await store.lease(request);
    await store.settle(
      leases.map(({ seq, fence, id, client, pool, channel, attempt, crashes }) => ({
        ...{ id, client, pool, channel },
        ...{ seq, fence, attempt, crashes, runAt: now, startedAt: now, finishedAt: now },
        ...{ outcome: "succeeded", state: "SUCCEEDED", deadReason: null, failure: null },
        output: { kind: "data", type: "", bytes: encoder.encode("done") },
      })),
    );
    await store.ack([{ client: where.client, channel: where.channel, cursor: made + leases.length }]);
  }
  await store.close();
}

function newJob(now: number, where: Pick<NewJob, "client" | "channel" | "pool" | "task">): NewJob {
  return {
    ...where,
    ...{ id: newId(now), maxAttempts: 4, priority: 0, runAt: now, expiresAt: null, submittedAt: now },
    ...{ trace: null, idempotencyKey: null, options: null },
    input: { kind: "data", type: "", bytes: encoder.encode("a hundred bytes of work to do, more or less".padEnd(100)) },
  };
}
