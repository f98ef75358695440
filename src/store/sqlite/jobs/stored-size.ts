/** How much is kept of a job, in SQL: bytes of its record, of its result and of its history. */
export const recordSize = "octet_length(job.record) + coalesce(octet_length(job.rest), 0)";

/** Of a job that has ended. A first attempt that succeeded left no history. */
export const hasHistory = "(ended.fence > 1 OR ended.state <> 2)";
export const endedSize = `${recordSize} + octet_length(ended.ending) + CASE WHEN ${hasHistory} THEN
  coalesce((SELECT sum(octet_length(past.ending)) FROM past_attempt AS past WHERE past.seq = job.seq), 0) ELSE 0 END`;
