import { isFinal } from "../../../job/job.ts";
import { encodeEnding, readEnding, states } from "../../../job/ending.ts";
import { decodeJob } from "../../../job/record.ts";
import { cancel, type CancelDecision, redrive } from "../../../job/transition.ts";
import { isSound } from "../../../job/wire.ts";
import type { Cancelled, Redriven, Removed } from "../../store.ts";
import type { DetachResult } from "../channels/detach-result.ts";
import { bytesOfId } from "../thread/columns.ts";
import type { Sql } from "../thread/connection.ts";
import { CANCELLED, QUEUED, SUCCEEDED, type Verbs } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import {
  type Bytes,
  endedNumbers,
  type EndedNumbers,
  storedColumns,
  type StoredState,
  withProgressAndEnd,
} from "./job-rows.ts";
import { placeOf } from "./ready-queue.ts";

/** Commands of clients for single jobs: cancel, redrive, remove. */
export function createJobCommands(sql: Sql, tables: Tables, detachResult: DetachResult) {
  const { channels, counters, ended, history, leases, names, progress, readyQueue, recordOf, sound } = tables;
  const byId = sql`
    SELECT ${storedColumns} FROM job ${withProgressAndEnd} WHERE job.id = ? AND job.client = ?`;
  const ending = sql<[Bytes]>`SELECT ending FROM ended WHERE seq = ?`;
  const final = sql<EndedNumbers>`SELECT ${endedNumbers} FROM ended WHERE seq = ?`;

  function find(client: string, id: string): StoredState | undefined {
    const row = byId.get(bytesOfId(id), names.find(client) ?? null);
    return row && leases.stateOf(row);
  }

  function cancelOne(client: string, id: string, now: number): Cancelled {
    const job = find(client, id);
    if (!job) return { kind: "not_found" };
    const decision = cancel({ ...job, state: states[job.state]!, attempt: job.attempts }, now);
    if (decision.kind === "final") return decision;
    if (decision.kind === "cancelled") return endQueued(job, decision);
    leases.cancel(job.seq);
    return { kind: "cancelling", pool: names.text(job.pool), seq: job.seq };
  }

  /** Makes a waiting job final. */
  function endQueued(job: StoredState, decision: Extract<CancelDecision, { kind: "cancelled" }>): Cancelled {
    const { seq, runAt, redrives, submittedAt, attempts, isRight } = job;
    const stored = recordOf(seq);
    const { record, damage } = sound(job, stored);
    const { id, task, pool, labels, trace } = decodeJob(record);
    const { finishedAt, startedAt, failure } = decision.ending;
    if (isRight) readyQueue.remove(placeOf(job));
    else readyQueue.removeDamaged(seq);
    if (job.fence > 0) progress.remove(seq);
    const bytes = stored.length + (job.fence > 0 ? history.bytesOf(seq) : 0);
    const channel = ended.add(
      { ...job, state: CANCELLED, startedAt, finishedAt, deadReason: null, bytes },
      encodeEnding({ id, task, labels, submittedAt, redrives }, { ...decision.ending, failure: damage ?? failure }),
    );
    counters.add(job.pool, QUEUED, -1);
    return { kind: "cancelled", task, pool, channel: channel.name, trace, submittedAt, runAt, attempts, redrives };
  }

  function redriveOne(client: string, id: string, runAt: number): Redriven {
    const job = find(client, id);
    if (!job) return { kind: "not_found" };
    const { seq, pool, fence, isRight } = job;
    // if the columns are damaged, the result has the state, if there is one
    const result = isRight || job.cursor === null ? undefined : ending.get(seq)![0];
    const state = result && isSound(result) ? readEnding(result).state : states[job.state]!;
    if (state !== "DEAD") return { kind: "not_dead", state };
    detachResult.detach(final.get(seq)!);
    const again = redrive(job, runAt);
    progress.write([seq, runAt, again.attempt, fence, again.crashes, again.redrives, again.startedAt], isRight);
    readyQueue.add(placeOf({ ...job, ...again, state: QUEUED }));
    counters.add(pool, QUEUED, 1);
    return { kind: "redriven", pool: names.text(pool), trace: decodeJob(sound(job, recordOf(seq)).record).trace };
  }

  function removeOne(client: string, id: string): Removed {
    const job = find(client, id);
    if (!job) return { kind: "not_found" };
    const state = states[job.state]!;
    if (!isFinal(state)) return { kind: "not_final", state };
    const isRead = job.cursor! <= (channels.known(job.channel, job.client)?.acked ?? 0);
    if (job.state === SUCCEEDED && !isRead) return { kind: "not_acknowledged" };
    detachResult.removeJob(final.get(job.seq)!);
    return { kind: "removed" };
  }

  return {
    cancel: ({ client, ids, now }) => {
      counters.observe(now);
      const asked = new Set<string>();
      const answers = ids.map((id) => {
        if (asked.has(id)) ended.flush(); // the second answer is as after the first
        asked.add(id);
        return cancelOne(client, id, now);
      });
      ended.flush();
      return answers;
    },
    redrive: ({ client, now, jobs }) => {
      counters.observe(now);
      return jobs.map(({ id, runAt }) => {
        const answer = redriveOne(client, id, runAt);
        progress.flush(); // an id may be repeated
        return answer;
      });
    },
    remove: ({ client, ids }) => ids.map((id) => removeOne(client, id)),
  } satisfies Partial<Verbs>;
}
