-- Version 2: priorities, deadlines, labels and their like, leases that end, cancelled runs, the history of attempts,
-- idempotency keys, results that outlive their job, and bounds on what is kept.
ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN expires_at INTEGER;                    -- NULL: no deadline
ALTER TABLE job ADD COLUMN cancelling INTEGER NOT NULL DEFAULT 0; -- 1: RUNNING, and cancelled meanwhile
ALTER TABLE job ADD COLUMN redrives INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN dead_reason INTEGER;                   -- 0 exhausted, 1 permanent, 2 expired, 3 poison
ALTER TABLE job ADD COLUMN idempotency_key TEXT;
ALTER TABLE job ADD COLUMN options TEXT;                          -- JSON, its keys sorted; part of input_crc if present

UPDATE job SET dead_reason = CASE
    WHEN json_valid(failure) IS NOT 1 THEN 0
    WHEN failure ->> '$.reason' = 'poison' THEN 3
    WHEN failure ->> '$.retryable' = 0 THEN 1
    ELSE 0
  END
  WHERE state = 3;

DROP INDEX job_ready;
CREATE INDEX job_ready ON job (pool, priority DESC, run_at) WHERE state = 0;

-- DEAD jobs and waiting jobs with a deadline, in tables of their own: an index of table job would have its price with
-- each change of every job, and these are few.
CREATE TABLE dead_letter (
  seq         INTEGER PRIMARY KEY, -- job.seq
  client      TEXT    NOT NULL,
  pool        TEXT    NOT NULL,
  finished_at INTEGER NOT NULL
) STRICT;
INSERT INTO dead_letter SELECT seq, client, pool, finished_at FROM job INDEXED BY job_dead WHERE state = 3;
CREATE INDEX dead_letter_age ON dead_letter (pool, finished_at);
CREATE INDEX dead_letter_of_client ON dead_letter (client, seq);
DROP INDEX job_dead;

CREATE TABLE deadline (
  pool       TEXT    NOT NULL,
  expires_at INTEGER NOT NULL,
  seq        INTEGER NOT NULL, -- job.seq
  PRIMARY KEY (pool, expires_at, seq)
) STRICT, WITHOUT ROWID;

-- Attempts that did not succeed.
CREATE TABLE past_attempt (
  seq         INTEGER NOT NULL, -- job.seq
  fence       INTEGER NOT NULL,
  attempt     INTEGER NOT NULL,
  outcome     INTEGER NOT NULL, -- place in the list of outcomes
  failure     TEXT    NOT NULL, -- JSON
  started_at  INTEGER,
  finished_at INTEGER NOT NULL,
  PRIMARY KEY (seq, fence)
) STRICT, WITHOUT ROWID;

-- Results that nobody acknowledged yet and whose job was removed or redriven; the columns are those of job.
CREATE TABLE former_result (
  channel      INTEGER NOT NULL,
  cursor       INTEGER NOT NULL,
  id           TEXT    NOT NULL,
  task         TEXT    NOT NULL,
  state        INTEGER NOT NULL,
  attempt      INTEGER NOT NULL,
  submitted_at INTEGER NOT NULL,
  started_at   INTEGER,
  finished_at  INTEGER NOT NULL,
  failure      TEXT,
  output_kind  INTEGER,
  output_type  TEXT,
  output       BLOB,             -- whole, whatever its length
  output_crc   INTEGER NOT NULL,
  dead_reason  INTEGER,
  redrives     INTEGER NOT NULL,
  options      TEXT,
  PRIMARY KEY (channel, cursor)
) STRICT, WITHOUT ROWID;

-- Keys with what two submits must have in common, for the job may be gone before its key is forgotten.
CREATE TABLE idempotency (
  client       TEXT    NOT NULL,
  key          TEXT    NOT NULL,
  id           TEXT    NOT NULL, -- job.id
  submitted_at INTEGER NOT NULL,
  task         TEXT    NOT NULL,
  channel      TEXT,
  priority     INTEGER NOT NULL,
  max_attempts INTEGER NOT NULL,
  options      TEXT,
  input_digest BLOB    NOT NULL,
  PRIMARY KEY (client, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (submitted_at);

-- A channel without a name takes the results that nobody wants. Its first result that was not swept decides when the
-- pruner has to look at it again: see sqlite/channels.ts. Channels are never removed: one that came back would give out
-- the same positions again, and a reader with an older one would miss results.
ALTER TABLE channel ADD COLUMN head INTEGER;        -- NULL: nothing is left to sweep
ALTER TABLE channel ADD COLUMN head_at INTEGER;     -- when that result was made
ALTER TABLE channel ADD COLUMN head_cursor INTEGER;
ALTER TABLE channel ADD COLUMN formers INTEGER NOT NULL DEFAULT 0; -- how many rows of former_result it has
DELETE FROM channel WHERE last = 0 AND id NOT IN (SELECT channel FROM job);
UPDATE channel SET head = 0, head_at = 0, head_cursor = 0 WHERE swept < last;
CREATE INDEX channel_head ON channel (head, head_at) WHERE head IS NOT NULL;

-- The newest seq ever given out, and what is kept of final jobs: bytes of inputs, outputs and failures.
CREATE TABLE total (
  last_seq       INTEGER NOT NULL,
  finished_bytes INTEGER NOT NULL, -- SUCCEEDED and CANCELLED
  dead_bytes     INTEGER NOT NULL
) STRICT;
WITH kept AS (
  SELECT state, coalesce(octet_length(input), 0) + coalesce(octet_length(output), 0)
      + coalesce(octet_length(failure), 0)
      + coalesce((SELECT sum(octet_length(bytes)) FROM payload WHERE id BETWEEN 2 * seq AND 2 * seq + 1), 0) AS bytes
  FROM job WHERE state >= 2
)
INSERT INTO total SELECT (SELECT value FROM last_seq),
  coalesce(sum(bytes) FILTER (WHERE state <> 3), 0), coalesce(sum(bytes) FILTER (WHERE state = 3), 0) FROM kept;
DROP TABLE last_seq;
