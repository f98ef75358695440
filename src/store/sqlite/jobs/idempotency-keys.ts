import { crc32 } from "node:zlib";
import { idempotencyMs } from "../../../job/job.ts";
import { checksumOf, isSound } from "../../../job/wire.ts";
import { checksum } from "../integrity/checked-rows.ts";
import type { Damage } from "../integrity/damage.ts";
import type { Sql } from "../thread/connection.ts";
import type { Bytes } from "./job-rows.ts";

type Row = [client: number, key: string, id: Uint8Array, submittedAt: number, content: Uint8Array];

function checksumOfRow([client, key, id, submittedAt, content]: Row): number {
  return checksum([client, crc32(key), crc32(id), submittedAt, checksumOf(content)]);
}

/** The idempotency keys. Each remembers the content of its job, because it may outlive the job. */
export function createIdempotencyKeys(sql: Sql, damage: Damage) {
  const select = sql<[id: Bytes, submittedAt: number, content: Bytes, checksum: number]>`
    SELECT id, submitted_at, content, checksum FROM idempotency WHERE client = ? AND key = ?`;
  const insert = sql`
    INSERT OR REPLACE INTO idempotency (client, key, id, submitted_at, content, checksum) VALUES (?, ?, ?, ?, ?, ?)`;
  const erase = sql`
    DELETE FROM idempotency WHERE (client, key) IN
      (SELECT client, key FROM idempotency INDEXED BY idempotency_age WHERE submitted_at <= ? LIMIT ? + 0)`;

  return {
    /**
     * The job of this key, and what the key remembers of it; undefined: the key is free. A damaged row frees its key: a
     * job that may run twice is better than one that is mistaken for another and never runs.
     */
    find: (client: number, key: string, now: number) => {
      const row = select.get(client, key);
      if (!row) return undefined;
      const [id, submittedAt, content, sum] = row;
      if (!isSound(content) || checksumOfRow([client, key, id, submittedAt, content]) !== sum) {
        damage.keyFreed(key);
        return undefined;
      }
      return now < submittedAt + idempotencyMs ? { id, content } : undefined;
    },
    /** Assigns the key to a new job. */
    take: (...row: Row): void => void insert.run(...row, checksumOfRow(row)),
    /** Deletes expired keys, at most `limit`, and returns their number. */
    prune: (now: number, limit: number): number => Number(erase.run(now - idempotencyMs, limit).changes),
  };
}
