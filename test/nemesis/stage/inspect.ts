/** Looks into the store's file when no server has it: is it whole, and do its counters agree with its rows. */
import { DatabaseSync } from "node:sqlite";
import type { StoreFacts } from "../history/event.ts";
import { now } from "../history/log.ts";

const states = ["QUEUED", "RUNNING", "SUCCEEDED", "DEAD", "CANCELLED"];

/** Throws when the file cannot be read at all. */
export function inspectStore(path: string): StoreFacts {
  const db = new DatabaseSync(path);
  try {
    const said = db
      .prepare("PRAGMA integrity_check(20)")
      .all()
      .map(({ integrity_check: line }) => String(line));
    const rows: { [name: string]: number } = {};
    for (const { pool, state, jobs } of db
      .prepare(
        `SELECT name.text AS pool, coalesce(ended.state, waiting.seq IS NULL) AS state, count(*) AS jobs
         FROM job JOIN name ON name.id = job.pool LEFT JOIN ended ON ended.seq = job.seq
           LEFT JOIN waiting ON waiting.seq = job.seq GROUP BY 1, 2`,
      )
      .all()) {
      rows[`${String(pool)} ${states[Number(state)]}`] = Number(jobs);
    }
    const counters: { [name: string]: number } = {};
    for (const row of db.prepare("SELECT text, pool_count.* FROM pool_count JOIN name ON id = pool").all()) {
      for (const state of states) counters[`${String(row["text"])} ${state}`] = Number(row[state.toLowerCase()]);
    }
    return { at: now(), kind: "store", integrity: said.filter((line) => line !== "ok"), counters, rows };
  } finally {
    db.close();
  }
}
