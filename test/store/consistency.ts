/** What must always hold between the tables of a store, counted from the rows. */
import assert from "node:assert/strict";
import type { DatabaseSync } from "node:sqlite";
import { channelSum, jobSum } from "../../src/store/sqlite/row-sum.ts";

export function assertConsistent(db: DatabaseSync): void {
  const rows = (sql: string) =>
    db
      .prepare(sql)
      .all()
      .map((row) => ({ ...row }));

  assert.deepEqual(
    rows(`SELECT pool, queued, running, succeeded, dead, cancelled FROM pool_count
      WHERE queued + running + succeeded + dead + cancelled > 0 ORDER BY pool`),
    rows(`SELECT pool, sum(state = 0) AS queued, sum(state = 1) AS running, sum(state = 2) AS succeeded,
      sum(state = 3) AS dead, sum(state = 4) AS cancelled FROM job GROUP BY pool ORDER BY pool`),
    "counts are those of the rows",
  );
  assert.deepEqual(
    rows("SELECT finished_bytes, dead_bytes FROM total"),
    rows(`
      WITH kept AS (
        SELECT state, coalesce(length(input), 0) + coalesce(length(output), 0)
          + coalesce(length(CAST(failure AS BLOB)), 0)
          + coalesce((SELECT sum(length(bytes)) FROM payload WHERE id / 2 = seq), 0)
          + coalesce((SELECT sum(length(CAST(failure AS BLOB))) FROM past_attempt AS past WHERE past.seq = job.seq), 0)
          AS bytes
        FROM job)
      SELECT coalesce(sum(bytes) FILTER (WHERE state IN (2, 4)), 0) AS finished_bytes,
        coalesce(sum(bytes) FILTER (WHERE state = 3), 0) AS dead_bytes FROM kept`),
    "bytes are those of the rows",
  );
  assert.deepEqual(
    rows("SELECT id, formers FROM channel WHERE formers > 0 ORDER BY id"),
    rows("SELECT channel AS id, count(*) AS formers FROM former_result GROUP BY channel ORDER BY channel"),
    "each channel knows how many results have lost their job",
  );
  assert.deepEqual(
    rows("SELECT seq, client, pool, finished_at FROM dead_letter ORDER BY seq"),
    rows("SELECT seq, client, pool, finished_at FROM job WHERE state = 3 ORDER BY seq"),
    "the dead letters are the DEAD jobs",
  );
  assert.deepEqual(
    rows("SELECT pool, expires_at, seq FROM deadline ORDER BY seq"),
    rows("SELECT pool, expires_at, seq FROM job WHERE state = 0 AND expires_at IS NOT NULL ORDER BY seq"),
    "the deadlines are those of jobs that wait",
  );
  assert.deepEqual(rows(`SELECT seq FROM job WHERE NOT ${jobSum.isRight}`), [], "each sum is that of its job");
  assert.deepEqual(rows(`SELECT id FROM channel WHERE NOT ${channelSum.isRight}`), [], "and of its channel");
  assert.deepEqual(rows("SELECT id FROM payload WHERE id / 2 NOT IN (SELECT seq FROM job)"), [], "no stray payload");
  assert.deepEqual(rows("SELECT seq FROM past_attempt WHERE seq NOT IN (SELECT seq FROM job)"), [], "no stray attempt");
  assert.deepEqual(
    rows(`SELECT channel, cursor FROM job WHERE cursor IS NOT NULL
      INTERSECT SELECT channel, cursor FROM former_result`),
    [],
    "no position is taken twice",
  );
  assert.deepEqual(
    rows("SELECT seq FROM job WHERE (state >= 2) <> (cursor IS NOT NULL)"),
    [],
    "final means a position",
  );
}
