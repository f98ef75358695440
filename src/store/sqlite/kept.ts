/** How much a job keeps, in SQL over one row of table job: bytes of its input, its output and its failures. */
const side = (name: "input" | "output", id: string) => `
  coalesce(octet_length(${name}), CASE WHEN ${name}_kind IS NULL THEN 0
    ELSE (SELECT octet_length(bytes) FROM payload WHERE payload.id = ${id}) END, 0)`;
const past = `
  coalesce((SELECT sum(octet_length(past_attempt.failure)) FROM past_attempt WHERE past_attempt.seq = job.seq), 0)`;

/** Of a job that runs or waits: its output is not there yet, and its failure is about to be replaced. */
export const bytesOfRunning = `${side("input", "2 * job.seq")} + CASE WHEN fence > 1 THEN ${past} ELSE 0 END`;
export const bytesOfQueued = `${side("input", "2 * job.seq")} + CASE WHEN fence > 0 THEN ${past} ELSE 0 END`;

/** Of a job in any state. A first attempt that succeeded left no history. */
export const bytesKept = `${side("input", "2 * job.seq")} + ${side("output", "2 * job.seq + 1")}
  + coalesce(octet_length(failure), 0) + CASE WHEN fence > 1 OR failure IS NOT NULL THEN ${past} ELSE 0 END`;

/** Whether a job has payloads or a history outside its row. */
export const liesApart = `
  (input_kind IS NOT NULL AND input IS NULL) OR (output_kind IS NOT NULL AND output IS NULL)
  OR fence > 1 OR failure IS NOT NULL`;
