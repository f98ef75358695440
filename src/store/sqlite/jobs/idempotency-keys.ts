import type { DatabaseSync } from "node:sqlite";
import { idempotencyMs } from "../../../job/job.ts";
import { prepareQuery } from "../thread/connection.ts";
import type { Names } from "./names.ts";

export type IdempotencyKeys = {
  /** The job that this key belongs to, and what it remembers of it; undefined when the key is free. */
  find(client: string, key: string, now: number): { readonly id: Uint8Array; readonly content: Uint8Array } | undefined;
  /** Gives the key to a job that was just stored. */
  take(client: string, key: string, id: Uint8Array, submittedAt: number, content: Uint8Array): void;
  /** Forgets keys that are too old, at most so many; gives their number. */
  prune(now: number, limit: number): number;
};

/** The idempotency keys: each remembers what its job was, since it may outlive the job. */
export function createIdempotencyKeys(db: DatabaseSync, names: Names): IdempotencyKeys {
  type Bytes = Uint8Array<ArrayBuffer>;
  const select = prepareQuery<[id: Bytes, submittedAt: number, content: Bytes]>(
    db,
    "SELECT id, submitted_at, content FROM idempotency WHERE client = ? AND key = ?",
  );
  const insert = db.prepare(
    "INSERT OR REPLACE INTO idempotency (client, key, id, submitted_at, content) VALUES (?, ?, ?, ?, ?)",
  );
  const erase = db.prepare(`
    DELETE FROM idempotency WHERE (client, key) IN
      (SELECT client, key FROM idempotency INDEXED BY idempotency_age WHERE submitted_at <= ? LIMIT ?)`);

  return {
    find: (client, key, now) => {
      const row = select.get(names.find(client) ?? null, key);
      return row && now < row[1] + idempotencyMs ? { id: row[0], content: row[2] } : undefined;
    },
    take: (client, key, id, submittedAt, content) => void insert.run(names.of(client), key, id, submittedAt, content),
    prune: (now, limit) => Number(erase.run(now - idempotencyMs, limit).changes),
  };
}
