import { encodeEnding, readEnding } from "../../../job/ending.ts";
import { type Failure, noLabels } from "../../../job/job.ts";
import { decodeJob, encodeJob } from "../../../job/record.ts";
import { isSound, isSoundHead } from "../../../job/wire.ts";
import type { Channels } from "../channels/channels.ts";
import { areRight, isBound } from "../integrity/checked-rows.ts";
import type { Damage } from "../integrity/damage.ts";
import { textOfId } from "../thread/columns.ts";
import type { Sql } from "../thread/connection.ts";
import { QUEUED } from "../thread/protocol.ts";
import * as rows from "./job-rows.ts";
import type { Bytes, Cells, Owners, StoredState } from "./job-rows.ts";
import type { History } from "./attempts.ts";
import type { Names } from "./names.ts";

export type StoredJobs = ReturnType<typeof createStoredJobs>;

/** Reads stored jobs; damaged parts are replaced by what the columns have. */
export function createStoredJobs(sql: Sql, names: Names, channels: Channels, history: History, damage: Damage) {
  const find = sql<[...Cells<typeof rows.jobColumns>, id: Bytes, record: Bytes, rest: Bytes | null]>`
    SELECT ${rows.jobColumns.join()}, id, record, rest FROM job WHERE seq = ?`;
  const record = sql<[Bytes, Bytes | null]>`SELECT record, rest FROM job WHERE seq = ?`;

  const recordOf = (seq: number): Uint8Array => rows.toRecord(...record.get(seq)!);

  /** A record made from a job's columns, without an input. */
  function substituteOf(seq: number) {
    const [, client, channel, pool, task, priority, runAt, expiresAt, submittedAt, id] = find.get(seq)!;
    const job = {
      ...{ priority, runAt, expiresAt, submittedAt, id: textOfId(id), client: names.text(client) },
      ...{ task: names.text(task), pool: names.text(pool), channel: channels.known(channel, client)?.name ?? null },
    };
    return { ...job, record: encodeJob({ ...decodeJob(new Uint8Array()), ...job }) };
  }

  /** The owners of a job with damaged columns: those in its record, if that is intact and its own. */
  function ownersIn(id: Bytes, head: Uint8Array, columns: Owners): Owners {
    const job = isSoundHead(head) ? decodeJob(head) : undefined;
    const client = job?.id === textOfId(id) ? names.find(job.client) : undefined;
    if (!job || client === undefined) return columns;
    const channel = channels.find(client, job.channel ?? "")?.id ?? columns.channel;
    return { client, pool: names.find(job.pool) ?? columns.pool, channel };
  }

  return {
    /** The job of a row that starts with `waitingColumns`. */
    waiting(row: readonly unknown[]): StoredState {
      const [seq, client, channel, pool, task, priority, submittedRunAt, expiresAt, submittedAt] =
        row as unknown as Cells<typeof rows.jobColumns>;
      const [id, head] = [row[rows.idAt], row[rows.headAt]] as [Bytes | null, Bytes | null];
      const progress = row[rows.progressAt] === null ? undefined : row.slice(rows.progressAt);
      const [, runAt, attempts, fence, crashes, redrives, startedAt] = (progress ??
        ([seq, submittedRunAt, 0, 0, 0, 0, null] as const)) as Cells<typeof rows.progressColumns>;
      const isOwn = id === null || isBound(row[rows.jobChecksumAt], head!, id);
      const isSubmitted = isOwn && areRight(row, 0, rows.jobColumns);
      const columns = { client, pool, channel };
      const owners = isSubmitted || id === null ? columns : ownersIn(id, head!, columns);
      // one object literal, because every job that is leased from the queue is read here
      return {
        seq,
        client: owners.client,
        channel: owners.channel,
        pool: owners.pool,
        task,
        priority,
        submittedAt,
        state: QUEUED,
        runAt,
        attempts,
        fence,
        crashes,
        redrives,
        startedAt,
        finishedAt: null,
        cursor: null,
        expiresAt: redrives > 0 ? null : expiresAt,
        isCancelling: false,
        isOwn,
        isRight: isSubmitted && (!progress || areRight(progress, 0, rows.progressColumns)),
      };
    },
    /** The owners of a job, from its record if that is intact. */
    ownersOf(seq: number): Owners {
      const [, client, channel, pool, , , , , , id, head] = find.get(seq)!;
      return ownersIn(id, head, { client, pool, channel });
    },
    /** The record as stored. */
    recordOf,
    /** Size of a job without its result. */
    bytesOf: (seq: number): number => recordOf(seq).length + history.bytesOf(seq),
    /** The record; if it is damaged or another job's, a substitute and the failure that names the damage. */
    sound(
      { seq, isOwn, isRight }: Pick<StoredState, "seq" | "isOwn" | "isRight">,
      stored: Uint8Array,
      isWhole = isSound(stored),
    ): { readonly record: Uint8Array; readonly damage: Failure | null } {
      if (isWhole && isOwn && isRight) return { record: stored, damage: null };
      const substitute = substituteOf(seq);
      const found = damage.found(isWhole ? "state" : "input", substitute.id);
      return { record: isWhole && isOwn ? stored : substitute.record, damage: found };
    },
    /** An ending of a job; if it is damaged or another job's, a substitute and the failure that names the damage. */
    soundEnding(ending: Uint8Array, id: string, { seq, attempts, crashes, redrives, finishedAt }: StoredState) {
      if (isSound(ending) && readEnding(ending).id === id) return { ending, damage: null };
      const { task, submittedAt } = substituteOf(seq);
      const found = damage.found("output", id);
      const ended = { attempts, crashes, redrives, finishedAt: finishedAt ?? 0 };
      return { ending: substituteEnding({ id, task, submittedAt }, ended, found), damage: found };
    },
  };
}

/** The substitute for a damaged result, which must not look like a success without an output. */
export function substituteEnding(
  job: { readonly id: string; readonly task: string; readonly submittedAt: number },
  ended: Readonly<Record<"attempts" | "crashes" | "redrives" | "finishedAt", number>>,
  failure: Failure,
): Uint8Array {
  const { attempts: attempt, crashes, redrives, finishedAt } = ended;
  return encodeEnding(
    { ...job, redrives, labels: noLabels },
    {
      ...({ outcome: "failed", state: "DEAD", deadReason: "permanent", attempt, crashes, runAt: finishedAt } as const),
      ...{ output: null, failure, startedAt: null, finishedAt, ended: { number: attempt, startedAt: null } },
    },
  );
}
