import { createHash } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import { idempotencyMs } from "../../job/job.ts";
import { differingChannel } from "../../job/options.ts";
import type { ContentField } from "../store.ts";
import { prepareQuery } from "./connection.ts";
import type { JobCells } from "./protocol.ts";
import { differingTexts } from "./text.ts";

/** Asked about jobs that have a key only. */
export type Keys = {
  /** The job that this key belongs to, and in what a submit with it differs; undefined when the key is free. */
  find(
    cells: JobCells,
    input: Uint8Array | null,
  ): { readonly id: string; readonly differs: ContentField[] } | undefined;
  /** Gives the key to a job that was just stored. */
  take(cells: JobCells, input: Uint8Array | null): void;
  /** Forgets keys that are too old, at most so many; gives their number. */
  prune(now: number, limit: number): number;
};

/** The idempotency keys: each remembers what its job was, since it may outlive the job. */
export function createKeys(db: DatabaseSync): Keys {
  const select = prepareQuery<Row>(
    db,
    `SELECT id, submitted_at, task, channel, priority, max_attempts, options, input_digest
     FROM idempotency WHERE client = ? AND key = ?`,
  );
  const insert = db.prepare(`
    INSERT OR REPLACE INTO idempotency
      (client, key, id, submitted_at, task, channel, priority, max_attempts, options, input_digest)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const erase = db.prepare(`
    DELETE FROM idempotency WHERE (client, key) IN
      (SELECT client, key FROM idempotency INDEXED BY idempotency_age WHERE submitted_at <= ? LIMIT ?)`);

  return {
    find: (cells, input) => {
      const [priority, , key, options] = cells[12]!;
      const row = select.get(cells[1], key);
      if (!row || cells[7] >= row[1] + idempotencyMs) return undefined;
      const [id, , task, channel] = row;
      const differs: ContentField[] = [];
      if (task !== cells[4]) differs.push("task");
      if (channel !== cells[2]) differs.push(differingChannel(channel, cells[2]));
      if (Buffer.compare(row[7], digestOf(cells, input)) !== 0) differs.push("input");
      if (row[4] !== priority) differs.push("priority");
      if (row[5] !== cells[5]) differs.push("max_attempts");
      if (row[6] !== options) differs.push(...differingTexts(row[6], options));
      return { id, differs };
    },
    take: (cells, input) => {
      const [id, client, channel, , task, maxAttempts, , submittedAt] = cells;
      const [priority, , key, options] = cells[12]!;
      const digest = digestOf(cells, input);
      insert.run(client, key, id, submittedAt, task, channel, priority, maxAttempts, options, digest);
    },
    prune: (now, limit) => Number(erase.run(now - idempotencyMs, limit).changes),
  };
}

type Row = [
  id: string,
  submittedAt: number,
  task: string,
  channel: string | null,
  priority: number,
  maxAttempts: number,
  options: string | null,
  digest: Uint8Array<ArrayBuffer>,
];

function digestOf(cells: JobCells, input: Uint8Array | null): Uint8Array {
  const hash = createHash("sha256").update(`${cells[9] ?? ""}\n${cells[10] ?? ""}\n`);
  return (input === null ? hash : hash.update(input)).digest();
}
