-- Version 5: jobs that may be what killed a process wait in an index of their own, which is empty as a rule. The number
-- is `suspectAfterCrashes` of job/job.ts.
DROP INDEX job_ready;
CREATE INDEX job_ready ON job (pool, priority DESC, run_at) WHERE state = 0 AND crashes < 2;
CREATE INDEX job_suspect ON job (pool, priority DESC, run_at) WHERE state = 0 AND crashes >= 2;
