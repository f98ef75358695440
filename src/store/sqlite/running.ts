import type { DatabaseSync } from "node:sqlite";
import { RUNNING } from "./protocol.ts";
import { jobSum } from "./row-sum.ts";

/** What has to be known of a RUNNING job to settle it, and what is known of its lease. */
export type RunningJob = {
  readonly fence: number;
  readonly attempt: number;
  readonly owner: string;
  readonly id: string;
  readonly client: string;
  readonly task: string;
  readonly pool: string;
  /** channel.id */
  readonly channel: number;
  readonly expiresAt: number | null;
  readonly submittedAt: number;
  readonly redrives: number;
  /** JSON */
  readonly options: string | null;
  /** Whether its numbers were those that were written when it was leased. */
  readonly isRight: boolean;
  /** Bytes of its input when nothing else is kept of it, as of most; null: they have to be counted. */
  readonly onlyBytes: number | null;
  /** When the attempt began; null when a former process began it. */
  readonly startedAt: number | null;
  /** When the lease ends. */
  until: number;
  /** The process that held it is gone. */
  isOwnerGone: boolean;
  isCancelling: boolean;
};

/**
 * All RUNNING jobs by `seq`: as many as run at once, so never many. When a lease ends and when it began is only here. The
 * file belongs to one process, so nobody else asks; and what a former process left running counts as ended, since nobody
 * holds it any more.
 */
export type Running = Map<number, RunningJob>;

export function createInFlight(db: DatabaseSync): Running {
  const left = db
    .prepare(
      `SELECT seq, fence, attempt, owner, id, client, task, pool, channel, expires_at AS expiresAt,
         submitted_at AS submittedAt, redrives, options, cancelling, ${jobSum.isRight} AS isRight
       FROM job INDEXED BY job_running WHERE state = ${RUNNING} AND seq > 0`,
    )
    .all() as unknown as (Omit<RunningJob, "isRight"> & { seq: number; cancelling: number; isRight: number })[];
  return new Map(
    left.map(({ seq, cancelling, isRight, ...job }) => [
      seq,
      {
        ...{ ...job, isRight: isRight === 1, isCancelling: cancelling === 1 },
        ...{ onlyBytes: null, startedAt: null, until: -Infinity, isOwnerGone: true },
      },
    ]),
  );
}
