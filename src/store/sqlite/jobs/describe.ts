import type { DatabaseSync } from "node:sqlite";
import { isFinal } from "../../../job/job.ts";
import type { Standing } from "../../../job/stored-job.ts";
import { isSound, isSoundHead } from "../../../job/wire.ts";
import { substituteEnding, substituteRecord } from "../integrity/substitutes.ts";
import type { BytesWriter } from "../thread/bytes.ts";
import { bytesOfId } from "../thread/columns.ts";
import { prepareQuery } from "../thread/connection.ts";
import { type Calls, SUCCEEDED, states, type StoredAnswer } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import { toRecord } from "./job-rows.ts";
import { behindStored, type StoredState, storedColumns, toState, withProgressAndEnd } from "./stored-jobs.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** SQL: what a job's description is made of. Neither the input of a long record nor an output is read. */
export const describing = `${storedColumns}, job.record,
  CASE WHEN ended.state <> ${SUCCEEDED} THEN ended.ending END`;
/** SQL: the same and what it left out. */
const everything = `${storedColumns}, job.record, job.rest, ended.ending`;

/** Looks at jobs. What is damaged is left out, and the job says so. */
export function createDescribe(db: DatabaseSync, tables: Tables) {
  const { channels, damage, history, known, leases, names } = tables;
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

  /** An ending, or what stands for one that is damaged. */
  function soundEnding(ending: Uint8Array, { seq, attempts, crashes, redrives, finishedAt }: StoredState): Uint8Array {
    if (isSound(ending)) return ending;
    const job = known(seq);
    const ended = { attempts, crashes, redrives, finishedAt: finishedAt ?? 0 };
    return substituteEnding(job, ended, damage.found("output", job.id));
  }

  function toAnswer(row: readonly unknown[], output: BytesWriter): StoredAnswer {
    const state = toState(row, leases);
    const [record, ownEnding] = row.slice(behindStored) as [Bytes, Bytes | null];
    const recordBytes = put(isSoundHead(record) ? record : substituteRecord(known(state.seq)), output);
    const ending = ownEnding ?? (isFinal(states[state.state]!) || state.fence === 0 ? null : history.newest(state.seq));
    return {
      ...{ standing: standingOf(state), recordBytes },
      endingBytes: put(ending ? soundEnding(ending, state) : null, output),
    };
  }

  function get({ client, id }: Calls["get"]["request"], output: BytesWriter): Calls["get"]["answer"] {
    const row = byId.get(bytesOfId(id), names.find(client) ?? null) as readonly unknown[] | undefined;
    if (!row) return null;
    const state = toState(row, leases);
    const [first, rest, ownEnding] = row.slice(behindStored) as [Bytes, Bytes | null, Bytes | null];
    const record = toRecord(first, rest);
    let found = state.isRight ? null : damage.found("state", id);
    if (!isSound(record)) found = damage.found("input", id);
    if (ownEnding && !isSound(ownEnding)) found = damage.found("output", id);
    const recordBytes = put(isSound(record) ? record : substituteRecord(known(state.seq)), output);
    const endingBytes = put(ownEnding && soundEnding(ownEnding, state), output);
    const historyBytes = history.of(state.seq).map((past) => put(soundEnding(past, state), output));
    return { standing: standingOf(state), recordBytes, endingBytes, historyBytes, damage: found };
  }

  return {
    toAnswer,
    get,
    /** Looks at states only: what a job carries is not read. */
    states: (asked: Calls["states"]["request"]): Calls["states"]["answer"] =>
      asked.map(({ client, id }) => {
        const row = byName.get(bytesOfId(id), names.find(client) ?? null);
        if (!row) return null;
        const { state, attempts, isCancelling, redrives, runAt } = toState(row, leases);
        return { state: states[state]!, attempts, isCancelling, redrives, runAt };
      }),
  };
}
