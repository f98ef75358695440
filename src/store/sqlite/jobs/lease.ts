import type { DatabaseSync } from "node:sqlite";
import { isSuspect as isSuspectJob } from "../../../job/job.ts";
import { isSound } from "../../../job/wire.ts";
import type { LeaseRequest } from "../../store.ts";
import { areRight } from "../integrity/checked-rows.ts";
import { substituteRecord } from "../integrity/substitutes.ts";
import type { BytesWriter } from "../thread/bytes.ts";
import { prepareQuery } from "../thread/connection.ts";
import { type Calls, type LeaseColumns, newLeaseColumns, QUEUED, RUNNING } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import { jobColumns, type JobNumbers, progressColumns, type ProgressNumbers, toRecord } from "./job-rows.ts";
import type { RunningJob } from "./leases.ts";
import { type DueRow, isRightPlace, jobAt, progressAt, recordAt } from "./ready-queue.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type Answer = Calls["lease"]["answer"];

/** Of a job that was never leased. */
const noProgress: ProgressNumbers = [0, 0, 0, 0, 0, 0, null, 0];

/** Gives jobs to those who run them. */
export function createLease(db: DatabaseSync, tables: Tables) {
  const { channels, counters, damage, deadlines, history, known, leases, names, readyQueue } = tables;
  const stored = prepareQuery<[Bytes, Bytes | null]>(db, "SELECT record, rest FROM job WHERE seq = ?");
  const hasEnded = prepareQuery<[number]>(db, "SELECT 1 FROM ended WHERE seq = ?");

  /** A row of the queue that damage made is removed; a waiting job that it names by that gets its own place again. */
  function repair(row: DueRow): void {
    const seq = row[4];
    readyQueue.remove(row);
    damage.requeued(seq);
    if (row[jobAt] === null || leases.running.has(seq) || hasEnded.get(seq)) return;
    const [, , , pool, , priority, runAt] = row.slice(jobAt) as unknown as JobNumbers;
    const [, nextRunAt, , , crashes] = progressOf(row);
    const isSuspect = isSuspectJob({ crashes }) ? 1 : 0;
    readyQueue.add([pool, isSuspect, priority, row[progressAt] === null ? runAt : nextRunAt, seq]);
    readyQueue.flush();
  }

  /** Takes a job out of the queue. */
  function take(row: DueRow, { now, until }: LeaseRequest, columns: LeaseColumns, output: BytesWriter): RunningJob {
    const [, , , runAt, seq] = row;
    const [client, channel, pool] = [row[jobAt + 1], row[jobAt + 2], row[jobAt + 3]] as [number, number, number];
    const submittedWith = row[jobAt + 7] as number | null;
    const [, , attempt, fence, crashes, redrives, lastStartedAt] = progressOf(row);
    const record = toRecord(row[recordAt] as Bytes, row[recordAt + 1] as Bytes | null);
    const isRight =
      areRight(row, jobAt, jobColumns) && (row[progressAt] === null || areRight(row, progressAt, progressColumns));
    readyQueue.remove(row);
    const expiresAt = redrives > 0 ? null : submittedWith;
    if (!isRight) deadlines.removeDamaged(seq);
    else if (expiresAt !== null) deadlines.remove(pool, expiresAt, seq);
    const job: RunningJob = {
      ...{
        seq,
        fence: fence + 1,
        attempt: attempt + 1,
        crashes,
        redrives,
        runAt,
        lastStartedAt,
        client,
        pool,
        expiresAt,
      },
      ...{ isRight, startedAt: now, until, isCancelling: false, priority: row[jobAt + 5] as number },
      channel: isRight ? channel : channels.ofJob(channel, client).id,
      bytes: record.length + (fence > 0 ? history.bytesOf(seq) : 0),
    };
    give(job, record, columns, output);
    return job;
  }

  /** A job on its way to those who asked. */
  function give(job: RunningJob, record: Uint8Array, columns: LeaseColumns, output: BytesWriter): void {
    let given = record;
    if (!job.isRight || !isSound(record)) {
      const columnsOfJob = known(job.seq);
      columns.damage.set(columns.seq.length, damage.found(job.isRight ? "input" : "state", columnsOfJob.id));
      given = substituteRecord(columnsOfJob);
    }
    output.put(given);
    columns.recordBytes.push(given.length);
    columns.seq.push(job.seq);
    columns.attempt.push(job.attempt);
    columns.fence.push(job.fence);
    columns.crashes.push(job.crashes);
    columns.redrives.push(job.redrives);
    columns.runAt.push(job.runAt);
    columns.expiresAt.push(job.expiresAt);
    columns.startedAt.push(job.lastStartedAt);
  }

  function lease(request: LeaseRequest, output: BytesWriter): Answer {
    const { limit, now, owner } = request;
    const columns = newLeaseColumns();
    const taken: RunningJob[] = [];
    /** False: a row was damaged, and what is behind it has to be looked for again. */
    const takeAll = (rows: readonly DueRow[]) =>
      rows.every((row) => {
        const isSoundRow = isRightPlace(row) && !leases.running.has(row[4]);
        if (isSoundRow) taken.push(take(row, request, columns, output));
        else repair(row);
        return isSoundRow;
      });

    counters.heard(now);
    const pool = names.find(request.pool);
    if (pool === undefined) return { leases: columns, nextDueAt: null };
    let nextDueAt = Infinity;
    if (request.onlyExpired === true) {
      while (!takeAll(readyQueue.overdue(pool, now, limit - taken.length)));
    } else {
      const isSuspect = request.suspects === true ? 1 : 0;
      let priority = readyQueue.nextPriority(pool, isSuspect);
      while (priority !== undefined && taken.length < limit) {
        const asked = limit - taken.length;
        const rows = readyQueue.due(pool, isSuspect, priority, now, asked);
        const areSound = takeAll(rows);
        if (areSound && rows.length === asked) break;
        if (!areSound) continue;
        nextDueAt = Math.min(nextDueAt, readyQueue.earliest(pool, isSuspect, priority) ?? Infinity);
        priority = readyQueue.nextPriority(pool, isSuspect, priority);
      }
    }
    leases.take(owner, taken);
    counters.add(pool, QUEUED, -taken.length);
    counters.add(pool, RUNNING, taken.length);
    return { leases: columns, nextDueAt: taken.length < limit && nextDueAt < Infinity ? nextDueAt : null };
  }

  return {
    lease,
    extend: ({ leases: held, until }: Calls["extend"]["request"]): Calls["extend"]["answer"] =>
      held.map(({ seq, fence }) => {
        const job = leases.running.get(seq);
        if (job?.fence !== fence) return "lost";
        job.until = until;
        return job.isCancelling ? "cancelling" : "held";
      }),
    expired: (request: Calls["expired"]["request"], output: BytesWriter): Calls["expired"]["answer"] => {
      const { owner, others, now, limit } = request;
      const ended = [...leases.running.values()].filter(
        ({ seq, until }) => until < now || (others && leases.ownerOf(seq) !== owner),
      );
      ended.sort((a, b) => a.seq - b.seq);
      const found = ended.slice(0, limit);
      const columns = newLeaseColumns();
      for (const job of found) {
        const row = stored.get(job.seq)!;
        give(job, toRecord(...row), columns, output);
      }
      const isCancelling = found.map((job) => job.isCancelling);
      return { leases: columns, isCancelling, owner: found.map(({ seq }) => leases.ownerOf(seq)) };
    },
  };
}

function progressOf(row: DueRow): ProgressNumbers {
  return row[progressAt] === null ? noProgress : (row.slice(progressAt) as unknown as ProgressNumbers);
}
