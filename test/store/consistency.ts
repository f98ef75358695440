/** What must always hold between the tables of a store, counted from the rows. */
import assert from "node:assert/strict";
import type { DatabaseSync } from "node:sqlite";
import { findWrongChannel } from "../../src/store/sqlite/channels/channels.ts";
import { areRight } from "../../src/store/sqlite/integrity/checked-rows.ts";
import { endedColumns, jobColumns, progressColumns } from "../../src/store/sqlite/jobs/job-rows.ts";
import { findWrongLease } from "../../src/store/sqlite/jobs/leases.ts";
import { findWrongName } from "../../src/store/sqlite/jobs/names.ts";
import { createSql } from "../../src/store/sqlite/thread/connection.ts";
import { placeColumns } from "../../src/store/sqlite/jobs/ready-queue.ts";

/** Of a long record the first part has a checksum of 5 bytes of its own. */
const keptBytes = `octet_length(job.record) + coalesce(octet_length(job.rest) - 5, 0) + length(ending)
  + coalesce((SELECT sum(length(past.ending)) FROM past_attempt AS past WHERE past.seq = job.seq), 0)`;

/** The jobs that leases name and that run: the newest lease of each, unless it ended or waits again. */
const running = `
  WITH leased AS (
    SELECT iif(json_each.type = 'integer', json_each.value, json_each.value ->> 0) AS seq,
      iif(json_each.type = 'integer', 1, json_each.value ->> 1) AS fence
    FROM lease, json_each(lease.jobs))
  SELECT DISTINCT job.seq FROM leased JOIN job ON job.seq = leased.seq
  WHERE NOT EXISTS (SELECT 1 FROM ended WHERE ended.seq = job.seq)
    AND NOT EXISTS (SELECT 1 FROM progress WHERE progress.seq = job.seq AND progress.fence >= leased.fence)`;

export function assertConsistent(db: DatabaseSync): void {
  const rows = (sql: string) =>
    db
      .prepare(sql)
      .all()
      .map((row) => ({ ...row }));

  db.exec(`CREATE TEMP TABLE running AS ${running}`);
  db.exec(`CREATE TEMP VIEW standing AS
    SELECT job.seq, job.pool, coalesce(ended.state, iif(running.seq IS NULL, 0, 1)) AS state
    FROM job LEFT JOIN ended ON ended.seq = job.seq LEFT JOIN running ON running.seq = job.seq`);
  try {
    assertRows(rows);
    assertChecksums(db);
  } finally {
    db.exec("DROP VIEW standing; DROP TABLE running");
  }
}

function assertRows(rows: (sql: string) => object[]): void {
  assert.deepEqual(
    rows(`SELECT pool, queued, running, succeeded, dead, cancelled FROM pool_count
      WHERE queued + running + succeeded + dead + cancelled > 0 ORDER BY pool`),
    rows(`SELECT pool, sum(state = 0) AS queued, sum(state = 1) AS running, sum(state = 2) AS succeeded,
      sum(state = 3) AS dead, sum(state = 4) AS cancelled FROM standing GROUP BY pool ORDER BY pool`),
    "counts are those of the rows",
  );
  assert.deepEqual(
    rows("SELECT finished_bytes, dead_bytes FROM total"),
    rows(`
      WITH kept AS (
        SELECT ended.state, ${keptBytes} AS bytes FROM job JOIN ended ON ended.seq = job.seq)
      SELECT coalesce(sum(bytes) FILTER (WHERE state IN (2, 4)), 0) AS finished_bytes,
        coalesce(sum(bytes) FILTER (WHERE state = 3), 0) AS dead_bytes FROM kept`),
    "bytes are those of the rows",
  );
  assert.deepEqual(
    rows(`SELECT job.seq FROM job JOIN ended ON ended.seq = job.seq WHERE ended.bytes <> ${keptBytes}`),
    [],
    "each knows how many bytes are kept of it",
  );
  assert.deepEqual(
    rows("SELECT pool, is_suspect, priority, run_at, seq, expires_at FROM waiting ORDER BY seq"),
    rows(`SELECT job.pool, coalesce(crashes >= 2, 0) AS is_suspect, priority,
        coalesce(progress.run_at, job.run_at) AS run_at, job.seq,
        iif(redrives > 0, NULL, expires_at) AS expires_at
      FROM job JOIN standing ON standing.seq = job.seq LEFT JOIN progress ON progress.seq = job.seq
      WHERE state = 0 ORDER BY job.seq`),
    "the queue has the jobs that wait, each in its place",
  );
  assert.deepEqual(
    rows("SELECT seq, client, pool FROM ended WHERE seq > 0 ORDER BY seq"),
    rows("SELECT job.seq, job.client, job.pool FROM ended JOIN job ON job.seq = ended.seq ORDER BY job.seq"),
    "what has ended knows whose it was",
  );
  const strays = ["progress", "ended", "past_attempt", "waiting"];
  for (const table of strays) {
    assert.deepEqual(
      rows(`SELECT seq FROM ${table} WHERE seq > 0 AND seq NOT IN (SELECT seq FROM job)`),
      [],
      `no stray ${table}`,
    );
  }
  assert.deepEqual(
    rows("SELECT ended.seq FROM ended JOIN progress ON progress.seq = ended.seq"),
    [],
    "what has ended has no progress",
  );
  assert.deepEqual(
    rows("SELECT channel, cursor FROM ended GROUP BY channel, cursor HAVING count(*) > 1"),
    [],
    "no position is taken twice",
  );
  assert.deepEqual(
    rows(`SELECT ended.seq FROM ended JOIN channel ON channel.id = channel
      WHERE (ended.seq < 0) <> (ended.id IS NOT NULL) OR (ended.seq < 0 AND (task IS NULL OR cursor <= acked))`),
    [],
    "a result without its job knows whose it was, and is not acknowledged",
  );
}

function assertChecksums(db: DatabaseSync): void {
  const tables = { job: jobColumns, waiting: placeColumns, progress: progressColumns, ended: endedColumns };
  for (const [table, columns] of Object.entries(tables)) {
    const all = db.prepare(`SELECT ${columns.join()}, checksum FROM ${table}`);
    all.setReturnArrays(true);
    const wrong = (all.all() as unknown as unknown[][]).filter((row) => !areRight(row, 0, columns));
    assert.deepEqual(wrong, [], `each checksum is that of its row of ${table}`);
  }
  const sql = createSql(db);
  assert.deepEqual([findWrongName(sql), findWrongChannel(sql), findWrongLease(sql)], [undefined, undefined, undefined]);
}
