import type { DatabaseSync } from "node:sqlite";
import { type FinalState, isFinal } from "../../job/job.ts";
import type { Cancelled, Redriven, Removed } from "../store.ts";
import { prepareQuery } from "./connection.ts";
import { type EndQueued, queuedColumns, type QueuedRow } from "./end-queued.ts";
import { finalColumns, type FinalRow, type Parting } from "./parting.ts";
import { type Calls, CANCELLED, DEAD, QUEUED, RUNNING, states, SUCCEEDED } from "./protocol.ts";
import { jobSum, wrongSum } from "./row-sum.ts";
import type { Tables } from "./tables.ts";

/** What clients do to their jobs, one by one: cancel, redrive, remove. */
export function createAlterations(db: DatabaseSync, tables: Tables, endQueued: EndQueued, parting: Parting) {
  const { channels, counters, deadLetters, payloads, running } = tables;
  const find = prepareQuery<QueuedRow>(db, `SELECT ${queuedColumns} FROM job WHERE id = ? AND client = ?`);
  const findFinal = prepareQuery<FinalRow>(db, `SELECT ${finalColumns} FROM job WHERE seq = ?`);
  const wish = db.prepare(
    `UPDATE job SET cancelling = 1, row_sum = row_sum + ${jobSum.of({ cancelling: 1 })} WHERE seq = ? AND cancelling = 0`,
  );
  const requeue = db.prepare(`
    UPDATE job SET state = ${QUEUED}, run_at = ?, attempt = 0, crashes = 0, redrives = redrives + 1, expires_at = NULL,
      started_at = NULL, finished_at = NULL, cursor = NULL, failure = NULL, dead_reason = NULL,
      output_kind = NULL, output_type = NULL, output = NULL, output_crc = NULL,
      row_sum = iif(${jobSum.isRight}, ${jobSum.sql({ state: QUEUED, attempt: 0, crashes: 0, redrives: "redrives + 1", expires_at: "NULL" })}, ${wrongSum})
    WHERE seq = ?`);

  function cancelOne(client: string, id: string, failure: string, now: number): Cancelled {
    const job = find.get(id, client);
    if (!job) return { kind: "not_found" };
    const [seq, state, pool] = job;
    if (state === RUNNING) {
      counters.stored(now);
      wish.run(seq);
      const lease = running.get(seq);
      if (lease) lease.isCancelling = true;
      return { kind: "cancelling", pool, seq };
    }
    if (state !== QUEUED) return { kind: "final", state: states[state] as FinalState };
    counters.stored(now);
    const { name: channel } = endQueued(job, CANCELLED, null, failure, now);
    // biome-ignore format: as in the type
    const [, , , , , , task, , , attempts, , submittedAt, redrives, , , trace, runAt] = job;
    return { kind: "cancelled", task, pool, channel, trace, submittedAt, runAt, attempts, redrives };
  }

  function redriveOne(client: string, id: string, runAt: number, now: number): Redriven {
    const job = find.get(id, client);
    if (!job) return { kind: "not_found" };
    const [seq, state, pool] = job;
    const trace = job[15];
    if (state !== DEAD) return { kind: "not_dead", state: states[state]! };
    const row = findFinal.get(seq)!;
    parting.fromResult(row);
    payloads.removeOutput(seq);
    counters.stored(now);
    requeue.run(runAt, seq);
    deadLetters.remove(seq);
    counters.addBytes(DEAD, -row[6]);
    counters.add(pool, DEAD, -1);
    counters.add(pool, QUEUED, 1);
    return { kind: "redriven", pool, trace };
  }

  function removeOne(client: string, id: string): Removed {
    const job = find.get(id, client);
    if (!job) return { kind: "not_found" };
    const [seq, stateNumber, , channelId] = job;
    const state = states[stateNumber]!;
    if (!isFinal(state)) return { kind: "not_final", state };
    const row = findFinal.get(seq)!;
    const isRead = row[5] <= (channels.known(channelId, client)?.acked ?? 0);
    if (stateNumber === SUCCEEDED && !isRead) return { kind: "not_acknowledged" };
    parting.fromResult(row);
    parting.erase(row);
    return { kind: "removed" };
  }

  return {
    cancel: ({ client, ids, now, failure }: Calls["cancel"]["request"]): Calls["cancel"]["answer"] => {
      const text = JSON.stringify(failure);
      counters.heard(now);
      return ids.map((id) => cancelOne(client, id, text, now));
    },
    redrive: ({ client, now, jobs }: Calls["redrive"]["request"]): Calls["redrive"]["answer"] => {
      counters.heard(now);
      return jobs.map(({ id, runAt }) => redriveOne(client, id, runAt, now));
    },
    remove: ({ client, ids }: Calls["remove"]["request"]): Calls["remove"]["answer"] =>
      ids.map((id) => removeOne(client, id)),
  };
}
