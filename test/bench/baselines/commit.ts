/** The least that a durable answer costs: one row, one synced commit of SQLite. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

export type CommitLoad = {
  /** On the disk where the server's store lies. */
  readonly folder: string;
  readonly seconds: number;
};

const row = Buffer.alloc(100, "x");

/** Commits one after the other; resolves with how long each took, in milliseconds. */
export async function runCommits({ folder, seconds }: CommitLoad): Promise<Float64Array> {
  const db = new DatabaseSync(join(folder, "commits.sqlite"));
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS commits (row BLOB)");
  const insert = db.prepare("INSERT INTO commits VALUES (?)"); // outside of a transaction: it commits by itself
  const took: number[] = [];
  const endsAt = performance.now() + seconds * 1000;
  for (let startedAt = performance.now(); startedAt < endsAt; ) {
    insert.run(row);
    const endedAt = performance.now();
    took.push(endedAt - startedAt);
    startedAt = endedAt;
  }
  db.close();
  return Float64Array.from(took);
}
