import type { DatabaseSync } from "node:sqlite";
import { prepareQuery } from "./connection.ts";
import { RUNNING } from "./protocol.ts";

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
  /** Bytes of its input when nothing else is kept of it, as of most; null: they have to be counted. */
  readonly onlyBytes: number | null;
  /** When the attempt began; null when a former process began it. */
  readonly startedAt: number | null;
  /** When the lease ends. */
  until: number;
  isCancelling: boolean;
};

/**
 * All RUNNING jobs by `seq`: as many as run at once, so never many. When a lease ends and when it began is only here. The
 * file belongs to one process, so nobody else asks; and what a former process left running counts as ended, since nobody
 * holds it any more.
 */
export type Running = Map<number, RunningJob>;

export function createRunning(db: DatabaseSync): Running {
  const left = prepareQuery<Row>(
    db,
    `SELECT seq, fence, attempt, owner, id, client, task, pool, channel, expires_at, cancelling
     FROM job INDEXED BY job_running WHERE state = ${RUNNING} AND seq > 0`,
  ).all();
  return new Map(
    left.map(([seq, fence, attempt, owner, id, client, task, pool, channel, expiresAt, cancelling]) => [
      seq,
      {
        ...{ fence, attempt, owner, id, client, task, pool, channel, expiresAt, onlyBytes: null },
        ...{ startedAt: null, until: -Infinity, isCancelling: cancelling === 1 },
      },
    ]),
  );
}

type Row = [
  seq: number,
  fence: number,
  attempt: number,
  owner: string,
  id: string,
  client: string,
  task: string,
  pool: string,
  channel: number,
  expiresAt: number | null,
  cancelling: number,
];
