-- One row per job. Everything a worker or a client asks for is found through an index that holds only the rows in
-- question, so that a million waiting jobs cost a lease nothing.
CREATE TABLE job (
  seq          INTEGER PRIMARY KEY,
  id           TEXT    NOT NULL UNIQUE,
  client       TEXT    NOT NULL,
  channel      INTEGER NOT NULL, -- channel.id
  pool         TEXT    NOT NULL,
  task         TEXT    NOT NULL,
  state        INTEGER NOT NULL, -- 0 QUEUED, 1 RUNNING, 2 SUCCEEDED, 3 DEAD, 4 CANCELLED
  attempt      INTEGER NOT NULL,
  max_attempts INTEGER NOT NULL,
  fence        INTEGER NOT NULL,
  crashes      INTEGER NOT NULL,
  run_at       INTEGER NOT NULL, -- times are milliseconds since 1970
  submitted_at INTEGER NOT NULL,
  started_at   INTEGER,
  finished_at  INTEGER,
  cursor       INTEGER,          -- position in the channel; NULL until final
  owner        TEXT,             -- who holds the lease; NULL unless RUNNING
  trace        TEXT,
  input_kind   INTEGER,          -- 0 message, 1 json, 2 data; NULL: no input
  input_type   TEXT,
  input        BLOB,             -- NULL with a kind: the bytes are in table payload
  input_crc    INTEGER NOT NULL, -- over id, client, task and input
  output_kind  INTEGER,
  output_type  TEXT,
  output       BLOB,
  output_crc   INTEGER,          -- over id, client, task, output and failure; NULL until an attempt was settled
  failure      TEXT              -- JSON
) STRICT;
CREATE INDEX job_ready ON job (pool, run_at) WHERE state = 0;
CREATE INDEX job_running ON job (seq) WHERE state = 1;
CREATE INDEX job_dead ON job (finished_at) WHERE state = 3;
CREATE INDEX job_result ON job (channel, cursor) WHERE cursor IS NOT NULL;
CREATE INDEX job_of_client ON job (client, seq);

-- Payloads that would make a job's row long, and slow to rewrite. id: twice the job's seq, plus one for the output.
CREATE TABLE payload (
  id    INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT;

CREATE TABLE channel (
  id     INTEGER PRIMARY KEY,
  client TEXT    NOT NULL,
  name   TEXT    NOT NULL,
  last   INTEGER NOT NULL, -- position of the newest result
  acked  INTEGER NOT NULL, -- results up to here are acknowledged
  swept  INTEGER NOT NULL, -- up to here only acknowledged DEAD jobs are left
  UNIQUE (client, name)
) STRICT;

CREATE TABLE pool_count (
  pool      TEXT    PRIMARY KEY,
  queued    INTEGER NOT NULL,
  running   INTEGER NOT NULL,
  succeeded INTEGER NOT NULL,
  dead      INTEGER NOT NULL,
  cancelled INTEGER NOT NULL
) STRICT;

-- The newest seq ever given out: a seq is never used again, also after the job is gone.
CREATE TABLE last_seq (value INTEGER NOT NULL) STRICT;
INSERT INTO last_seq (value) VALUES (0);
