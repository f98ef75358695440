/** What is given out in place of records that are damaged: as much as the columns beside them say. */
import { type Failure, noLabels } from "../../../job/job.ts";
import { encodeEnding } from "../../../job/ending.ts";
import { decodeJob, encodeJob } from "../../../job/record.ts";

/** What the columns say of a job. */
export type Known = {
  readonly id: string;
  readonly client: string;
  readonly task: string;
  readonly pool: string;
  readonly channel: string | null;
  readonly priority: number;
  readonly runAt: number;
  readonly expiresAt: number | null;
  readonly submittedAt: number;
};

/** A record without an input. */
export function substituteRecord(job: Known): Uint8Array {
  return encodeJob({ ...decodeJob(noRecord), ...job });
}

const noRecord = new Uint8Array();

/** A result: whatever it was, it must not look like a success without an output. */
export function substituteEnding(
  job: Pick<Known, "id" | "task" | "submittedAt">,
  ended: {
    readonly attempts: number;
    readonly crashes: number;
    readonly redrives: number;
    readonly finishedAt: number;
  },
  failure: Failure,
): Uint8Array {
  const { attempts: attempt, crashes, redrives, finishedAt } = ended;
  return encodeEnding(
    { ...job, redrives, labels: noLabels },
    {
      ...({ outcome: "failed", state: "DEAD", deadReason: "permanent", attempt, crashes, runAt: finishedAt } as const),
      ...{ output: null, failure, startedAt: null, finishedAt, ended: { number: attempt, startedAt: null } },
    },
  );
}
