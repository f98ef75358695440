import { states } from "../../../job/ending.ts";
import { isFinal } from "../../../job/job.ts";
import type { Standing } from "../../../job/stored-job.ts";
import { isSoundHead } from "../../../job/wire.ts";
import { bytesOfId, textOfId } from "../thread/columns.ts";
import type { Sql } from "../thread/connection.ts";
import { type StoredAnswer, SUCCEEDED, type Verbs } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import {
  behindStored,
  type Bytes,
  headAt,
  idAt,
  standingColumns,
  storedColumns,
  type StoredState,
  toRecord,
  withProgressAndEnd,
} from "./job-rows.ts";

/** Reads whole jobs. Damaged parts are omitted, and the job has a failure that names them. */
export function createDescribe(sql: Sql, tables: Tables) {
  const { channels, history, leases, names, sound, soundEnding } = tables;
  const ofClient = "WHERE job.id = ? AND job.client = ?";
  const whole = sql`
    SELECT ${storedColumns}, job.rest, ended.ending FROM job ${withProgressAndEnd} ${ofClient}`;
  // reads neither the input of a long record nor an output
  const shown = sql`
    SELECT ${storedColumns}, NULL, CASE WHEN ended.state <> ${SUCCEEDED} THEN ended.ending END
    FROM job ${withProgressAndEnd} WHERE job.seq = ?`;
  const standing = sql`SELECT ${standingColumns} FROM job ${withProgressAndEnd} ${ofClient}`;

  const find = (query: typeof whole, client: string, id: string): readonly unknown[] | undefined =>
    query.get(bytesOfId(id), names.find(client) ?? null);

  function standingOf(job: StoredState): Standing {
    const { seq, isCancelling, attempts, crashes, runAt, expiresAt, startedAt, finishedAt, redrives } = job;
    const cursor = channels.byId(job.channel)?.name ? job.cursor : null;
    const state = states[job.state]!;
    return { seq, state, isCancelling, attempts, crashes, runAt, expiresAt, startedAt, finishedAt, redrives, cursor };
  }

  /** `isHead`: omits the input of a long record, and the history except the newest entry of a job that is not final. */
  function describe(row: readonly unknown[], isHead: boolean, output: Uint8Array[]): StoredAnswer {
    const job = leases.stateOf(row);
    const id = textOfId(row[idAt] as Bytes);
    const [rest, result] = row.slice(behindStored) as [Bytes | null, Bytes | null];
    const stored = toRecord(row[headAt] as Bytes, rest);
    const { record, damage } = sound(job, stored, isHead ? isSoundHead(stored) : undefined);
    const ended = result && soundEnding(result, id, job);
    const newest = isHead && !isFinal(states[job.state]!) && job.fence > 0 ? history.newest(job.seq) : undefined;
    const past = (isHead ? (newest ? [newest] : []) : history.of(job.seq)).map(
      (line) => soundEnding(line, id, job).ending,
    );
    output.push(record, ...(ended ? [ended.ending] : []), ...past);
    return {
      standing: standingOf(job),
      recordBytes: record.length,
      endingBytes: ended && ended.ending.length,
      historyBytes: past.map(({ length }) => length),
      damage: ended?.damage ?? damage,
    };
  }

  return {
    /** A job as lists show it. */
    describeShown: (seq: number, output: Uint8Array[]): StoredAnswer => describe(shown.get(seq)!, true, output),
    get: ({ client, id }, _, output) => {
      const row = find(whole, client, id);
      return row ? describe(row, false, output) : null;
    },
    /** Only reads columns, not records. */
    states: (asked) =>
      asked.map(({ client, id }) => {
        const row = find(standing, client, id);
        if (!row) return null;
        const { state, attempts, isCancelling, redrives, runAt } = leases.stateOf(row);
        return { state: states[state]!, attempts, isCancelling, redrives, runAt };
      }),
  } satisfies Partial<Verbs> & { describeShown: unknown };
}
