import type { DatabaseSync } from "node:sqlite";
import { isFinal, type JobState } from "../../../job/job.ts";
import { decodeResult, encodeEnding, states } from "../../../job/ending.ts";
import { decodeJob } from "../../../job/record.ts";
import { cancel, redrive } from "../../../job/transition.ts";
import { isSound } from "../../../job/wire.ts";
import type { Cancelled, Redriven, Removed } from "../../store.ts";
import type { DetachResult } from "../channels/detach-result.ts";
import { bytesOfId } from "../thread/columns.ts";
import { prepareQuery } from "../thread/connection.ts";
import { type Calls, CANCELLED, QUEUED, SUCCEEDED } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import { type Bytes, endedNumbers, type EndedNumbers } from "./job-rows.ts";
import {
  behindStored,
  isOwnRecord,
  placeOf,
  type StoredState,
  storedColumns,
  toState,
  withProgressAndEnd,
} from "./stored-jobs.ts";
/** What clients do to their jobs, one by one: cancel, redrive, remove. */
export function createJobCommands(db: DatabaseSync, tables: Tables, detachResult: DetachResult) {
  const {
    channels,
    counters,
    damage,
    ended,
    history,
    leases,
    names,
    ownersOf,
    progress,
    readyQueue,
    recordOf,
    substituteOf,
  } = tables;
  const byId = prepareQuery<(number | null | Bytes)[]>(
    db,
    `SELECT ${storedColumns}, record, job.id FROM job ${withProgressAndEnd} WHERE job.id = ? AND job.client = ?`,
  );
  const ending = prepareQuery<[Bytes]>(db, "SELECT ending FROM ended WHERE seq = ?");
  const final = prepareQuery<EndedNumbers>(db, `SELECT ${endedNumbers} FROM ended WHERE seq = ?`);

  function find(client: string, id: string): StoredState | undefined {
    const row = byId.get(bytesOfId(id), names.find(client) ?? null);
    if (!row) return undefined;
    const state = toState(row, leases);
    const [head, idBytes] = row.slice(behindStored) as [Bytes, Bytes];
    const isRight = state.isRight && isOwnRecord(row, idBytes, head);
    return { ...state, ...(isRight ? {} : ownersOf(state.seq)), isRight };
  }

  /** What was submitted, or as much of it as is not damaged. */
  function soundRecord(seq: number, stored = recordOf(seq)): Uint8Array {
    return isSound(stored) ? stored : substituteOf(seq).record;
  }

  function cancelOne(client: string, id: string, now: number): Cancelled {
    const job = find(client, id);
    if (!job) return { kind: "not_found" };
    const decision = cancel({ ...job, state: states[job.state]!, attempt: job.attempts }, now);
    if (decision.kind === "final") return decision;
    counters.record(now);
    if (decision.kind === "cancelled") return endQueued(job, decision.ending);
    leases.cancel(job.seq);
    return { kind: "cancelling", pool: names.text(job.pool), seq: job.seq };
  }

  /** Makes a job final that waits, although no attempt of it ended. */
  function endQueued(
    job: StoredState,
    ending: Extract<ReturnType<typeof cancel>, { kind: "cancelled" }>["ending"],
  ): Cancelled {
    const { seq, runAt, redrives, submittedAt, attempts } = job;
    const stored = recordOf(seq);
    const { id, task, pool, labels, trace } = decodeJob(soundRecord(seq, stored));
    let { failure } = ending;
    if (!isSound(stored)) failure = damage.found("input", id);
    if (!job.isRight) failure = damage.found("state", id);
    const channel = channels.ofJob(job.channel, job.client);
    if (job.isRight) readyQueue.remove(placeOf(job));
    else readyQueue.removeDamaged(seq);
    if (job.fence > 0) progress.remove(seq);
    const { finishedAt, startedAt } = ending;
    const bytes = stored.length + (job.fence > 0 ? history.bytesOf(seq) : 0);
    ended.add(
      { ...job, channel: channel.id, state: CANCELLED, startedAt, finishedAt, deadReason: null, bytes },
      encodeEnding({ id, task, labels, submittedAt, redrives }, { ...ending, failure }),
    );
    counters.add(job.pool, QUEUED, -1);
    return { kind: "cancelled", task, pool, channel: channel.name, trace, submittedAt, runAt, attempts, redrives };
  }

  /** Where a job stands whose numbers are damaged: its result knows, if it has one. */
  function stateByEnding({ seq, state, cursor }: StoredState): JobState {
    const result = cursor === null ? undefined : ending.get(seq)![0];
    return result && isSound(result) ? decodeResult(result, 0).state : states[state]!;
  }

  function redriveOne(client: string, id: string, runAt: number, now: number): Redriven {
    const job = find(client, id);
    if (!job) return { kind: "not_found" };
    const state = job.isRight ? states[job.state]! : stateByEnding(job);
    if (state !== "DEAD") return { kind: "not_dead", state };
    const { seq, pool, fence, isRight } = job;
    detachResult.detach(final.get(seq)!);
    const again = redrive(job, runAt);
    progress.write([seq, runAt, again.attempt, fence, again.crashes, again.redrives, again.startedAt], isRight);
    readyQueue.add(placeOf({ ...job, ...again, state: QUEUED }));
    counters.record(now);
    counters.add(pool, QUEUED, 1);
    return { kind: "redriven", pool: names.text(pool), trace: decodeJob(soundRecord(seq)).trace };
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
    cancel: ({ client, ids, now }: Calls["cancel"]["request"]): Calls["cancel"]["answer"] => {
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
    redrive: ({ client, now, jobs }: Calls["redrive"]["request"]): Calls["redrive"]["answer"] => {
      counters.observe(now);
      const answers = jobs.map(({ id, runAt }) => {
        const answer = redriveOne(client, id, runAt, now);
        progress.flush(); // an id may come twice
        return answer;
      });
      return answers;
    },
    remove: ({ client, ids }: Calls["remove"]["request"]): Calls["remove"]["answer"] =>
      ids.map((id) => removeOne(client, id)),
  };
}
