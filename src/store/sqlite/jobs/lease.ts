import type { DatabaseSync } from "node:sqlite";
import type { Failure } from "../../../job/job.ts";
import { isSound } from "../../../job/wire.ts";
import type { LeaseRequest } from "../../store.ts";
import { areRight, isBound } from "../integrity/checked-rows.ts";
import type { BytesWriter } from "../thread/bytes.ts";
import { toNumberColumn } from "../thread/columns.ts";
import { type Calls, type LeaseColumns, QUEUED, RUNNING } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import { type Bytes, jobColumns, progressColumns, type ProgressNumbers, toRecord } from "./job-rows.ts";
import type { RunningJob } from "./leases.ts";
import { createQueueRepair } from "./queue-repair.ts";
import { type DueRow, type FreshJob, isRightPlace, jobAt, progressAt, recordAt } from "./ready-queue.ts";

/** Of a job that was never leased. */
const noProgress: ProgressNumbers = [0, 0, 0, 0, 0, 0, null, 0];

/** Jobs that a call takes, each with its record; `nextDueAt` is Infinity when no other is known. */
type Taken = {
  readonly jobs: RunningJob[];
  readonly records: Uint8Array[];
  /** Of the records. */
  bytes: number;
  /** Those that were found in the queue. */
  readonly seqs: Set<number>;
  nextDueAt: number;
};

/** Rows of the queue that are in memory at once before their bytes are counted. */
const rowsPerQuery = 128;

/** Gives jobs to those who run them. */
export function createLease(db: DatabaseSync, tables: Tables) {
  const { counters, damage, history, leases, names, ownersOf, readyQueue, recordOf, substituteOf } = tables;
  const repair = createQueueRepair(db, tables);

  /**
   * Takes jobs out of the queue, until their bytes are enough. False: a row was damaged, and those behind it have to be
   * read again.
   */
  function takeRows(rows: readonly DueRow[], request: LeaseRequest, taken: Taken): boolean {
    const { maxBytes = Infinity } = request;
    return rows.every((row) => {
      if (taken.bytes >= maxBytes) return true;
      const isHeld = leases.running.has(row[4]) || taken.seqs.has(row[4]);
      const isFit = !isHeld && isRightPlace(row);
      if (isFit) takeRow(row, request, taken);
      else repair.drop(row, isHeld);
      return isFit;
    });
  }

  function takeRow(row: DueRow, request: LeaseRequest, taken: Taken): void {
    const [pool, , priority, runAt, seq, expiresAt] = row;
    const [, , attempt, fence, crashes, redrives, lastStartedAt] = progressOf(row);
    const [head, rest, id] = row.slice(recordAt, progressAt) as [Bytes, Bytes | null, Bytes];
    const record = toRecord(head, rest);
    const isRight =
      areRight(row, jobAt, jobColumns) &&
      isBound(row[recordAt - 1], head, id) &&
      (row[progressAt] === null || areRight(row, progressAt, progressColumns));
    readyQueue.remove(row);
    taken.seqs.add(seq);
    taken.records.push(record);
    taken.bytes += record.length;
    taken.jobs.push({
      ...{ seq, fence: fence + 1, attempt: attempt + 1, crashes, redrives, runAt, lastStartedAt },
      ...(isRight ? { client: row[jobAt + 1] as number, channel: row[jobAt + 2] as number } : ownersOf(seq)),
      ...{ pool, priority, expiresAt, isRight },
      ...heldSince(request),
      bytes: record.length + (fence > 0 ? history.bytesOf(seq) : 0),
    });
  }

  function takeFresh(job: FreshJob, request: LeaseRequest, taken: Taken): void {
    const { seq, client, channel, pool, priority, runAt, expiresAt, record } = job;
    taken.records.push(record);
    taken.jobs.push({
      ...{ seq, fence: 1, attempt: 1, crashes: 0, redrives: 0, runAt, lastStartedAt: null, client, pool, channel },
      ...{ priority, expiresAt, isRight: true, bytes: record.length },
      ...heldSince(request),
    });
  }

  function takeDue(pool: number, request: LeaseRequest, taken: Taken): void {
    const { limit, maxBytes = Infinity, now } = request;
    const isSuspect = request.suspects === true ? 1 : 0;
    const fresh = isSuspect === 0 ? readyQueue.takeFresh(pool, now, limit, maxBytes) : undefined;
    if (fresh) {
      for (const job of fresh.jobs) takeFresh(job, request, taken);
      taken.nextDueAt = fresh.nextDueAt;
      return;
    }
    let priority = readyQueue.nextPriority(pool, isSuspect);
    while (priority !== undefined && taken.jobs.length < limit) {
      if (taken.bytes >= maxBytes) {
        taken.nextDueAt = now;
        return;
      }
      const asked = Math.min(limit - taken.jobs.length, rowsPerQuery);
      const rows = readyQueue.due(pool, isSuspect, priority, now, asked);
      if (!takeRows(rows, request, taken)) {
        priority = readyQueue.nextPriority(pool, isSuspect);
        continue;
      }
      if (rows.length === asked) continue;
      taken.nextDueAt = Math.min(taken.nextDueAt, readyQueue.earliest(pool, isSuspect, priority) ?? Infinity);
      priority = readyQueue.nextPriority(pool, isSuspect, priority);
    }
  }

  /** Jobs on their way to those who asked. */
  function encodeLeases(
    jobs: readonly RunningJob[],
    records: readonly Uint8Array[],
    output: BytesWriter,
  ): LeaseColumns {
    const damaged = new Map<number, Failure>();
    const given = records.map((record, index) => {
      const job = jobs[index]!;
      if (job.isRight && isSound(record)) return record;
      const substitute = substituteOf(job.seq);
      damaged.set(index, damage.found(job.isRight ? "input" : "state", substitute.id));
      return substitute.record;
    });
    for (const record of given) output.put(record);
    return {
      seq: toNumberColumn(jobs, ({ seq }) => seq),
      attempt: toNumberColumn(jobs, ({ attempt }) => attempt),
      fence: toNumberColumn(jobs, ({ fence }) => fence),
      crashes: toNumberColumn(jobs, ({ crashes }) => crashes),
      redrives: toNumberColumn(jobs, ({ redrives }) => redrives),
      runAt: toNumberColumn(jobs, ({ runAt }) => runAt),
      expiresAt: toNumberColumn(jobs, ({ expiresAt }) => expiresAt),
      startedAt: toNumberColumn(jobs, ({ lastStartedAt }) => lastStartedAt),
      recordBytes: toNumberColumn(given, ({ length }) => length),
      damage: damaged,
    };
  }

  return {
    lease: (request: LeaseRequest, output: BytesWriter): Calls["lease"]["answer"] => {
      const { limit, now, owner } = request;
      const taken: Taken = { jobs: [], records: [], bytes: 0, seqs: new Set(), nextDueAt: Infinity };
      counters.observe(now);
      repair.walk();
      const pool = names.find(request.pool);
      if (pool !== undefined) {
        if (request.onlyExpired !== true) takeDue(pool, request, taken);
        else while (!takeRows(readyQueue.overdue(pool, now, limit - taken.jobs.length), request, taken));
        leases.take(owner, taken.jobs);
        counters.add(pool, QUEUED, -taken.jobs.length);
        counters.add(pool, RUNNING, taken.jobs.length);
      }
      if (repair.isDue()) taken.nextDueAt = now;
      const hasNext = taken.jobs.length < limit && taken.nextDueAt < Infinity;
      return { leases: encodeLeases(taken.jobs, taken.records, output), nextDueAt: hasNext ? taken.nextDueAt : null };
    },
    extend: ({ leases: held, now, leaseMs }: Calls["extend"]["request"]): Calls["extend"]["answer"] =>
      held.map(({ seq, fence }) => {
        const job = leases.running.get(seq);
        if (job?.fence !== fence) return "lost";
        job.until = now + leaseMs;
        return job.isCancelling ? "cancelling" : "held";
      }),
    expired: ({ now, limit }: Calls["expired"]["request"], output: BytesWriter): Calls["expired"]["answer"] => {
      const ended = [...leases.running.values()].filter(({ until }) => until < now);
      const found = ended.sort((a, b) => a.seq - b.seq).slice(0, limit);
      const records = found.map(({ seq }) => recordOf(seq));
      const holders = found.map(({ owner, isOwnerGone, isCancelling }) => ({ owner, isOwnerGone, isCancelling }));
      return { leases: encodeLeases(found, records, output), holders };
    },
    recover: ({ owner }: Calls["recover"]["request"]): Calls["recover"]["answer"] => {
      const lost = [...leases.running.values()].filter((job) => job.owner === owner);
      for (const job of lost) Object.assign(job, { until: -Infinity, isOwnerGone: true });
      return lost.length;
    },
  };
}

/** The holder of a lease that is given now. */
function heldSince({ owner, now, leaseMs }: LeaseRequest) {
  return { owner, isOwnerGone: false, startedAt: now, until: now + leaseMs, isCancelling: false };
}

function progressOf(row: DueRow): ProgressNumbers {
  return row[progressAt] === null ? noProgress : (row.slice(progressAt) as unknown as ProgressNumbers);
}
