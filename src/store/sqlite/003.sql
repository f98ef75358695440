-- Version 3: the latest time that was passed in, for a clock that was set back while nobody looked.
ALTER TABLE total ADD COLUMN latest_at INTEGER NOT NULL DEFAULT 0; -- 0: none
UPDATE total SET latest_at = max(
  coalesce((SELECT max(max(submitted_at, coalesce(finished_at, 0))) FROM job), 0),
  coalesce((SELECT max(finished_at) FROM past_attempt), 0));
