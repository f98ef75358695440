-- A job's row is written once, when it is accepted, and never updated. What changes is in small rows of other tables:
--   waiting   its place in the queue, while it is QUEUED
--   progress  its state after earlier attempts, until it ends; a job that was never leased has none
--   lease     the jobs that were leased together, until the last of them has ended
--   ended     how it ended, with its result
-- So a job is RUNNING if a lease names it, it has no row in ended, and its progress has no fence as high as the lease's. A
-- job with a row in ended is final; any other is QUEUED. `checksum` is over the numbers of its row: see
-- integrity/checked-rows.ts.
-- Times are milliseconds since 1970.

-- Clients, pools and tasks by number: rows are shorter, and compare faster.
CREATE TABLE name (
  id       INTEGER PRIMARY KEY,
  text     TEXT    NOT NULL UNIQUE,
  checksum INTEGER NOT NULL -- CRC-32 of the text
) STRICT;

CREATE TABLE job (
  seq          INTEGER PRIMARY KEY, -- in the order of submission
  id           BLOB    NOT NULL UNIQUE, -- the 16 bytes of a UUID
  client       INTEGER NOT NULL, -- name.id, as are pool and task
  channel      INTEGER NOT NULL, -- channel.id
  pool         INTEGER NOT NULL,
  task         INTEGER NOT NULL,
  priority     INTEGER NOT NULL,
  run_at       INTEGER NOT NULL, -- as submitted
  expires_at   INTEGER,          -- as submitted; NULL: no deadline. A job that was redriven has none
  submitted_at INTEGER NOT NULL,
  checksum     INTEGER NOT NULL,
  record       BLOB    NOT NULL, -- see job/record.ts
  rest         BLOB              -- of a long record the input; NULL: it is in `record`
) STRICT;
CREATE INDEX job_of_client ON job (client, seq);

CREATE TABLE waiting (
  pool       INTEGER NOT NULL,
  is_suspect INTEGER NOT NULL, -- 1: it may be what killed a process, see job/job.ts
  priority   INTEGER NOT NULL,
  run_at     INTEGER NOT NULL,
  seq        INTEGER NOT NULL,
  expires_at INTEGER,          -- NULL: no deadline
  checksum   INTEGER NOT NULL,
  PRIMARY KEY (pool, is_suspect, priority DESC, run_at, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX waiting_deadline ON waiting (pool, expires_at, seq) WHERE expires_at IS NOT NULL;

CREATE TABLE progress (
  seq      INTEGER PRIMARY KEY,
  run_at   INTEGER NOT NULL,
  attempt  INTEGER NOT NULL, -- attempts counted since it was submitted or redriven
  fence    INTEGER NOT NULL, -- of its latest lease
  crashes  INTEGER NOT NULL,
  redrives INTEGER NOT NULL,
  started_at INTEGER,          -- of the newest attempt that was counted; NULL: none was, or it is unknown
  checksum INTEGER NOT NULL
) STRICT;

CREATE TABLE lease (
  id       INTEGER PRIMARY KEY,
  owner    TEXT    NOT NULL,
  jobs     TEXT    NOT NULL, -- JSON, see jobs/leases.ts
  checksum INTEGER NOT NULL  -- CRC-32 of owner and jobs
) STRICT;

-- A result that is not acknowledged stays when its job is removed or redriven: it gets a negative seq, and `id` and `task`.
CREATE TABLE ended (
  seq         INTEGER PRIMARY KEY,
  client      INTEGER NOT NULL,
  pool        INTEGER NOT NULL,
  channel     INTEGER NOT NULL, -- channel.id
  cursor      INTEGER NOT NULL, -- its result's position there
  state       INTEGER NOT NULL, -- 2 SUCCEEDED, 3 DEAD, 4 CANCELLED
  attempts    INTEGER NOT NULL,
  fence       INTEGER NOT NULL,
  crashes     INTEGER NOT NULL,
  redrives    INTEGER NOT NULL,
  run_at      INTEGER NOT NULL,
  started_at  INTEGER,
  finished_at INTEGER NOT NULL,
  dead_reason INTEGER,          -- 0 exhausted, 1 permanent, 2 expired, 3 poison
  bytes       INTEGER NOT NULL, -- kept of it: record, result and history
  checksum    INTEGER NOT NULL,
  id          BLOB,             -- of its job, which is there no more; NULL: it is there
  task        INTEGER,
  ending      BLOB    NOT NULL  -- see job/ending.ts
) STRICT;
CREATE INDEX ended_position ON ended (channel, cursor);
-- DEAD jobs: few among many.
CREATE INDEX dead_age ON ended (pool, finished_at, seq) WHERE state = 3 AND id IS NULL;
CREATE INDEX dead_of_client ON ended (client, seq) WHERE state = 3 AND id IS NULL;
CREATE INDEX former_result ON ended (channel, cursor) WHERE id IS NOT NULL;

-- Attempts that did not succeed.
CREATE TABLE past_attempt (
  seq    INTEGER NOT NULL,
  fence  INTEGER NOT NULL,
  ending BLOB    NOT NULL, -- see job/ending.ts
  PRIMARY KEY (seq, fence)
) STRICT, WITHOUT ROWID;

-- A channel with an empty name takes the results that are discarded. Its head, the first result that must stay yet, decides
-- when the pruner examines it again: see channels/channels.ts. Channels are never removed: one that came back would give out
-- the same positions again, and a reader with an older one would miss results.
CREATE TABLE channel (
  id          INTEGER PRIMARY KEY,
  client      INTEGER NOT NULL,
  name        TEXT    NOT NULL,
  last        INTEGER NOT NULL, -- position of the newest result
  acked       INTEGER NOT NULL, -- results up to here are acknowledged
  head        INTEGER,          -- NULL: only acknowledged DEAD jobs are left
  head_at     INTEGER,          -- when that result was made
  head_cursor INTEGER,
  checksum    INTEGER NOT NULL, -- over the name, too
  UNIQUE (client, name)
) STRICT;
CREATE INDEX channel_head ON channel (head, head_at) WHERE head IS NOT NULL;

-- Keys with what two submits must have in common, for the job may be gone before its key is forgotten.
CREATE TABLE idempotency (
  client       INTEGER NOT NULL,
  key          TEXT    NOT NULL,
  id           BLOB    NOT NULL, -- job.id
  submitted_at INTEGER NOT NULL,
  content      BLOB    NOT NULL, -- encodeContent in job/record.ts
  checksum     INTEGER NOT NULL, -- over all of them
  PRIMARY KEY (client, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (submitted_at);

CREATE TABLE pool_count (
  pool      INTEGER NOT NULL UNIQUE,
  queued    INTEGER NOT NULL,
  running   INTEGER NOT NULL,
  succeeded INTEGER NOT NULL,
  dead      INTEGER NOT NULL,
  cancelled INTEGER NOT NULL
) STRICT;

CREATE TABLE total (
  last_seq       INTEGER NOT NULL, -- the newest ever given out: a seq is never used again, also after the job is gone
  finished_bytes INTEGER NOT NULL, -- kept of SUCCEEDED and CANCELLED jobs: see channels/detach-result.ts
  dead_bytes     INTEGER NOT NULL,
  latest_at      INTEGER NOT NULL, -- the latest time that was passed in, for a clock that was set back meanwhile; 0: none
  commits        INTEGER NOT NULL  -- see integrity/commit-counter.ts
) STRICT;
INSERT INTO total VALUES (0, 0, 0, 0, 0);

-- What operators changed of a pool while a server ran: a row for each pool that is paused or resized.
CREATE TABLE pool_override (
  pool      TEXT    PRIMARY KEY, -- its name: it may be one that never had a job
  overrides TEXT    NOT NULL,    -- JSON, see jobs/pool-overrides.ts
  checksum  INTEGER NOT NULL     -- CRC-32 of pool and overrides
) STRICT;
