import type { DatabaseSync } from "node:sqlite";
import type { Channels } from "../channels/channels.ts";
import type { Known } from "../integrity/substitutes.ts";
import { textOfId } from "../thread/columns.ts";
import { prepareQuery } from "../thread/connection.ts";
import { type JobNumbers, jobNumbers } from "./job-rows.ts";
import type { Names } from "./names.ts";

/** What the columns of a job say, for one whose record is not to be trusted. */
export function createKnownJob(db: DatabaseSync, names: Names, channels: Channels): (seq: number) => Known {
  const select = prepareQuery<[...JobNumbers, id: Uint8Array<ArrayBuffer>]>(
    db,
    `SELECT ${jobNumbers}, id FROM job WHERE seq = ?`,
  );
  return (seq) => {
    const row = select.get(seq)!;
    const [, client, channel, pool, task, priority, runAt, expiresAt, submittedAt] = row;
    return {
      ...{ priority, runAt, expiresAt, submittedAt, id: textOfId(row[10]), client: names.text(client) },
      ...{ task: names.text(task), pool: names.text(pool), channel: channels.known(channel, client)?.name ?? null },
    };
  };
}
