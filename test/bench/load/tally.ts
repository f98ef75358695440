/** Counts what was submitted and what came back: every accepted job must have exactly one result. */
import { JobState, type Receipt, type Result } from "../../../src/gen/millpond/v1/job_pb.ts";

/** What a slice of load came to. Anything but 0 in the last four is a fault of the server, or of the bench. */
export type Counts = {
  readonly submitted: number;
  readonly results: number;
  /** Accepted, and no result came. */
  readonly lost: number;
  /** Results of jobs that had one already, or that were never submitted. */
  readonly doubled: number;
  readonly refused: number;
  /** Results other than success. */
  readonly failed: number;
};

export type Tally = {
  /** Notes that these jobs were submitted at this time. */
  submitted(ids: readonly string[], at: number): void;
  accepted(receipts: readonly Receipt[]): void;
  received(results: readonly Result[], at: number): void;
  /** Jobs submitted and neither refused nor finished. */
  underWay(): number;
  results(): number;
  /** From submit to result, in milliseconds; one for each result since the last `forgetLatencies`. */
  latencies(): Float64Array;
  forgetLatencies(): void;
  counts(): Counts;
};

export function createTally(): Tally {
  const submittedAt = new Map<string, number>();
  const counts = { submitted: 0, results: 0, doubled: 0, refused: 0, failed: 0 };
  let latencies: number[] = [];

  return {
    submitted(ids, at) {
      counts.submitted += ids.length;
      for (const id of ids) submittedAt.set(id, at);
    },
    accepted(receipts) {
      // A refusal carries no id, so its job stays "under way": the slice fails, and says how many were refused.
      for (const { receipt } of receipts) if (receipt.case !== "jobId") counts.refused += 1;
    },
    received(results, at) {
      counts.results += results.length;
      for (const { jobId, state } of results) {
        const sentAt = submittedAt.get(jobId);
        if (sentAt === undefined) counts.doubled += 1;
        else latencies.push(at - sentAt);
        submittedAt.delete(jobId);
        if (state !== JobState.SUCCEEDED) counts.failed += 1;
      }
    },
    underWay: () => submittedAt.size - counts.refused,
    results: () => counts.results,
    latencies: () => Float64Array.from(latencies),
    forgetLatencies() {
      latencies = [];
    },
    counts: () => ({ ...counts, lost: submittedAt.size - counts.refused }),
  };
}
