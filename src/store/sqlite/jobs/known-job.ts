import type { DatabaseSync } from "node:sqlite";
import { decodeJob } from "../../../job/record.ts";
import { isSound } from "../../../job/wire.ts";
import type { Channels } from "../channels/channels.ts";
import type { Known } from "../integrity/substitutes.ts";
import { textOfId } from "../thread/columns.ts";
import { prepareQuery } from "../thread/connection.ts";
import { type Bytes, type JobNumbers, jobNumbers, recordBytes, toRecord } from "./job-rows.ts";
import type { History } from "./history.ts";
import type { Names } from "./names.ts";

/** Whose a job is, by numbers. */
export type Owners = { readonly client: number; readonly pool: number; readonly channel: number };

export type KnownJob = ReturnType<typeof createKnownJob>;

export function createKnownJob(db: DatabaseSync, names: Names, channels: Channels, history: History) {
  const select = prepareQuery<[...JobNumbers, id: Bytes, record: Bytes, rest: Bytes | null]>(
    db,
    `SELECT ${jobNumbers}, id, record, rest FROM job WHERE seq = ?`,
  );
  const bytes = prepareQuery<[number]>(db, `SELECT ${recordBytes} FROM job WHERE seq = ?`);
  return {
    /** What is kept of a job without its result, in bytes. */
    bytesOf: (seq: number): number => bytes.get(seq)![0] + history.bytesOf(seq),
    /** What the columns of a job say, for one whose record is not to be trusted. */
    known: (seq: number): Known => {
      const row = select.get(seq)!;
      const [, client, channel, pool, task, priority, runAt, expiresAt, submittedAt] = row;
      return {
        ...{ priority, runAt, expiresAt, submittedAt, id: textOfId(row[10]), client: names.text(client) },
        ...{ task: names.text(task), pool: names.text(pool), channel: channels.known(channel, client)?.name ?? null },
      };
    },
    /** Whose a job is, for one whose columns are not to be trusted: what its record says, if that is whole and its own. */
    ownersOf: (seq: number): Owners => {
      const [, client, channel, pool, , , , , , , id, head, rest] = select.get(seq)!;
      const record = toRecord(head, rest);
      const job = isSound(record) ? decodeJob(record) : undefined;
      if (job?.id !== textOfId(id)) return { client, pool, channel: channels.ofJob(channel, client).id };
      const owner = names.of(job.client);
      return { client: owner, pool: names.of(job.pool), channel: channels.of(owner, job.channel ?? "").id };
    },
  };
}
