import type { DatabaseSync } from "node:sqlite";
import { readEnding, states } from "../../../job/ending.ts";
import { isFinal } from "../../../job/job.ts";
import type { Standing } from "../../../job/stored-job.ts";
import { isSound, isSoundHead } from "../../../job/wire.ts";
import type { BytesWriter } from "../thread/bytes.ts";
import { bytesOfId, textOfId } from "../thread/columns.ts";
import { prepareQuery } from "../thread/connection.ts";
import { type Calls, SUCCEEDED, type StoredAnswer } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import { type Bytes, toRecord } from "./job-rows.ts";
import { substituteEnding } from "./known-job.ts";
import {
  behindStored,
  isOwnEnding,
  isOwnRecord,
  type StoredState,
  storedColumns,
  toState,
  withProgressAndEnd,
} from "./stored-jobs.ts";

/** SQL: what a job's description is made of. Neither the input of a long record nor an output is read. */
export const describing = `${storedColumns}, job.record,
  CASE WHEN ended.state <> ${SUCCEEDED} THEN ended.ending END`;
/** SQL: the same and what it left out. */
const everything = `${storedColumns}, job.record, job.rest, ended.ending`;

/** Describes jobs. What is damaged is left out, and the job has a failure that names it. */
export function createDescribe(db: DatabaseSync, tables: Tables) {
  const { channels, damage, history, leases, names, substituteOf } = tables;
  const byId = prepareQuery<unknown[] & []>(
    db,
    `SELECT ${everything} FROM job ${withProgressAndEnd} WHERE job.id = ? AND job.client = ?`,
  );

  const byName = prepareQuery<(number | null)[]>(
    db,
    `SELECT ${storedColumns} FROM job ${withProgressAndEnd} WHERE job.id = ? AND job.client = ?`,
  );

  function standingOf(job: StoredState): Standing {
    const { seq, isCancelling, attempts, crashes, runAt, expiresAt, startedAt, finishedAt, redrives } = job;
    const cursor = channels.nameOf(job.channel) === null ? null : job.cursor;
    const state = states[job.state]!;
    return { seq, state, isCancelling, attempts, crashes, runAt, expiresAt, startedAt, finishedAt, redrives, cursor };
  }

  function put(bytes: Uint8Array | null, output: BytesWriter): number {
    if (bytes === null) return -1;
    output.put(bytes);
    return bytes.length;
  }

  /** An ending, or what stands for one that is damaged or another job's. */
  function soundEnding(ending: Uint8Array, state: StoredState, isOwn: boolean): Uint8Array {
    if (isOwn && isSound(ending)) return ending;
    const { seq, attempts, crashes, redrives, finishedAt } = state;
    const job = substituteOf(seq);
    const ended = { attempts, crashes, redrives, finishedAt: finishedAt ?? 0 };
    return substituteEnding(job, ended, damage.found("output", job.id));
  }

  /** The same of a line of its history, which is bound to its job by the id in it. */
  function soundPast(past: Uint8Array, state: StoredState, id: string): Uint8Array {
    return soundEnding(past, state, isSound(past) && readEnding(past).id === id);
  }

  function toAnswer(row: readonly unknown[], output: BytesWriter): StoredAnswer {
    const state = toState(row, leases);
    const [record, ownEnding, id] = row.slice(behindStored) as [Bytes, Bytes | null, Bytes];
    const newest = isFinal(states[state.state]!) || state.fence === 0 ? null : history.newest(state.seq);
    const { fit, ...answer } = check(row, state, id, record, isSoundHead(record) ? record : null, ownEnding);
    const recordBytes = put(fit, output);
    const ending = ownEnding
      ? soundEnding(ownEnding, state, isOwnEnding(row, ownEnding))
      : newest && soundPast(newest, state, textOfId(id));
    return { ...answer, standing: standingOf(state), recordBytes, endingBytes: put(ending ?? null, output) };
  }

  /** `fit`: the record, if it is sound and the job's own, or what stands for it. `damage`: the failure that it shows. */
  function check(
    row: readonly unknown[],
    { seq, isRight }: StoredState,
    id: Uint8Array,
    head: Uint8Array,
    sound: Uint8Array | null,
    ending: Uint8Array | null,
  ) {
    const isOwn = isOwnRecord(row, id, head);
    let found = isRight && isOwn ? null : damage.found("state", textOfId(id));
    if (!sound) found = damage.found("input", textOfId(id));
    if (ending && !(isSound(ending) && isOwnEnding(row, ending))) found = damage.found("output", textOfId(id));
    return { fit: isOwn && sound ? sound : substituteOf(seq).record, damage: found };
  }

  function get({ client, id }: Calls["get"]["request"], output: BytesWriter): Calls["get"]["answer"] {
    const key = bytesOfId(id);
    const row = byId.get(key, names.find(client) ?? null) as readonly unknown[] | undefined;
    if (!key || !row) return null;
    const state = toState(row, leases);
    const [first, rest, ownEnding] = row.slice(behindStored) as [Bytes, Bytes | null, Bytes | null];
    const record = toRecord(first, rest);
    const { fit, ...answer } = check(row, state, key, first, isSound(record) ? record : null, ownEnding);
    const recordBytes = put(fit, output);
    const endingBytes = put(ownEnding && soundEnding(ownEnding, state, isOwnEnding(row, ownEnding)), output);
    const historyBytes = history.of(state.seq).map((past) => put(soundPast(past, state, id), output));
    return { ...answer, standing: standingOf(state), recordBytes, endingBytes, historyBytes };
  }

  return {
    toAnswer,
    get,
    /** Reads states only, not what a job carries. */
    states: (asked: Calls["states"]["request"]): Calls["states"]["answer"] =>
      asked.map(({ client, id }) => {
        const row = byName.get(bytesOfId(id), names.find(client) ?? null);
        if (!row) return null;
        const { state, attempts, isCancelling, redrives, runAt } = toState(row, leases);
        return { state: states[state]!, attempts, isCancelling, redrives, runAt };
      }),
  };
}
