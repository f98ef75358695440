import type { DatabaseSync } from "node:sqlite";
import { encodeEnding } from "../../../job/ending.ts";
import { type Failure, noLabels } from "../../../job/job.ts";
import { decodeJob, encodeJob } from "../../../job/record.ts";
import { isSound } from "../../../job/wire.ts";
import type { Channels } from "../channels/channels.ts";
import { textOfId } from "../thread/columns.ts";
import { prepareQuery } from "../thread/connection.ts";
import { type Bytes, type JobNumbers, jobNumbers, recordBytes, toRecord } from "./job-rows.ts";
import type { History } from "./history.ts";
import type { Names } from "./names.ts";

/** Whose a job is, by numbers. */
type Owners = { readonly client: number; readonly pool: number; readonly channel: number };

export type KnownJob = ReturnType<typeof createKnownJob>;

/** What is stored of one job, and what stands for it where it is damaged: what the columns beside it know. */
export function createKnownJob(db: DatabaseSync, names: Names, channels: Channels, history: History) {
  const find = prepareQuery<[...JobNumbers, id: Bytes, record: Bytes, rest: Bytes | null]>(
    db,
    `SELECT ${jobNumbers}, id, record, rest FROM job WHERE seq = ?`,
  );
  const record = prepareQuery<[Bytes, Bytes | null]>(db, "SELECT record, rest FROM job WHERE seq = ?");
  const bytes = prepareQuery<[number]>(db, `SELECT ${recordBytes} FROM job WHERE seq = ?`);

  return {
    /** Its record as it is stored. */
    recordOf: (seq: number): Uint8Array => toRecord(...record.get(seq)!),
    /** What is kept of it without its result, in bytes. */
    bytesOf: (seq: number): number => bytes.get(seq)![0] + history.bytesOf(seq),
    /** What its columns know, as a record without an input. */
    substituteOf: (seq: number) => {
      const [, client, channel, pool, task, priority, runAt, expiresAt, submittedAt, , bytesOfId] = find.get(seq)!;
      const job = {
        ...{ priority, runAt, expiresAt, submittedAt, id: textOfId(bytesOfId), client: names.text(client) },
        ...{ task: names.text(task), pool: names.text(pool), channel: channels.known(channel, client)?.name ?? null },
      };
      return { ...job, record: encodeJob({ ...decodeJob(noRecord), ...job }) };
    },
    /** Whose it is, where its columns are not to be trusted: what its record names, if that is whole and its own. */
    ownersOf: (seq: number): Owners => {
      const [, client, channel, pool, , , , , , , id, head, rest] = find.get(seq)!;
      const stored = toRecord(head, rest);
      const job = isSound(stored) ? decodeJob(stored) : undefined;
      if (job?.id !== textOfId(id)) return { client, pool, channel: channels.ofJob(channel, client).id };
      const owner = names.of(job.client);
      return { client: owner, pool: names.of(job.pool), channel: channels.of(owner, job.channel ?? "").id };
    },
  };
}

const noRecord = new Uint8Array();

/** What stands for a damaged result: whatever it was, it must not look like a success without an output. */
export function substituteEnding(
  job: { readonly id: string; readonly task: string; readonly submittedAt: number },
  ended: {
    readonly attempts: number;
    readonly crashes: number;
    readonly redrives: number;
    readonly finishedAt: number;
  },
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
