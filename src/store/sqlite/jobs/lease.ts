import type { Failure } from "../../../job/job.ts";
import type { LeaseRequest } from "../../store.ts";
import { areRight } from "../integrity/checked-rows.ts";
import { toNumberColumn, toNumberColumns } from "../thread/columns.ts";
import type { Sql } from "../thread/connection.ts";
import { type LeaseColumns, QUEUED, RUNNING, type Verbs } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import { type Bytes, headAt, toRecord } from "./job-rows.ts";
import { type RunningJob, toRunning } from "./leases.ts";
import { createQueueRepair } from "./queue-repair.ts";
import { type DueRow, type FreshJob, placeColumns, placeIn, restAt } from "./ready-queue.ts";

/** The jobs that a call leases, and their records. */
type Taken = {
  readonly jobs: RunningJob[];
  readonly records: Uint8Array[];
  /** Size of the records. */
  bytes: number;
  /** Jobs that were found in the queue's table. */
  readonly seqs: Set<number>;
  /** Infinity: no other job is known. */
  nextDueAt: number;
};

/** Rows of the queue per query: their records are in memory before their bytes are counted. */
const rowsPerQuery = 128;

/** Leases jobs, and manages their leases. */
export function createLease(sql: Sql, tables: Tables) {
  const { counters, history, leases, names, readyQueue, recordOf, sound, waiting } = tables;
  const repair = createQueueRepair(sql, tables);

  /** Takes jobs out of the queue, up to `maxBytes`. */
  function takeRows(rows: readonly DueRow[], request: LeaseRequest, taken: Taken): void {
    const { maxBytes = Infinity } = request;
    for (const row of rows) {
      if (taken.bytes >= maxBytes) return;
      const place = placeIn(row);
      const [pool, , priority, runAt, seq, expiresAt] = place;
      const isHeld = leases.running.has(seq) || taken.seqs.has(seq);
      if (isHeld || row[0] === null || !areRight(place, 0, placeColumns)) {
        repair.drop(place);
        continue;
      }
      const job = waiting(row);
      const record = toRecord(row[headAt] as Bytes, row[restAt] as Bytes | null);
      const bytes = record.length + (job.fence > 0 ? history.bytesOf(seq) : 0);
      readyQueue.remove(place);
      taken.seqs.add(seq);
      taken.records.push(record);
      taken.bytes += record.length;
      const next = toRunning(job, job.fence + 1, bytes);
      taken.jobs.push({ ...next, pool, priority, runAt, expiresAt, ...heldSince(request) });
    }
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
    for (const priority of readyQueue.priorities(pool, isSuspect)) {
      for (let isAll = false; !isAll; ) {
        if (taken.jobs.length === limit) return;
        if (taken.bytes >= maxBytes) return void (taken.nextDueAt = now);
        const asked = Math.min(limit - taken.jobs.length, rowsPerQuery);
        const rows = readyQueue.due(pool, isSuspect, priority, now, asked);
        takeRows(rows, request, taken);
        isAll = rows.length < asked;
      }
      taken.nextDueAt = Math.min(taken.nextDueAt, readyQueue.earliest(pool, isSuspect, priority));
    }
  }

  /** Encodes leased jobs, and adds their records to the output. */
  function encodeLeases(
    jobs: readonly RunningJob[],
    stored: readonly Uint8Array[],
    output: Uint8Array[],
  ): LeaseColumns {
    const damaged = new Map<number, Failure>();
    const records = stored.map((each, index) => {
      const { seq, isRight } = jobs[index]!;
      const { record, damage } = sound({ seq, isOwn: isRight, isRight }, each);
      if (damage) damaged.set(index, damage);
      output.push(record);
      return record;
    });
    return {
      ...toNumberColumns(jobs, [
        "seq",
        "attempt",
        "fence",
        "crashes",
        "redrives",
        "runAt",
        "expiresAt",
        "lastStartedAt",
      ]),
      recordBytes: toNumberColumn(records, ({ length }) => length),
      damage: damaged,
    };
  }

  return {
    lease: (request, _, output) => {
      const { limit, now, owner } = request;
      const taken: Taken = { jobs: [], records: [], bytes: 0, seqs: new Set(), nextDueAt: Infinity };
      counters.observe(now);
      repair.walk();
      const pool = names.find(request.pool);
      if (pool !== undefined) {
        if (request.onlyExpired === true) takeRows(readyQueue.overdue(pool, now, limit), request, taken);
        else takeDue(pool, request, taken);
        leases.take(owner, taken.jobs);
        counters.add(pool, QUEUED, -taken.jobs.length);
        counters.add(pool, RUNNING, taken.jobs.length);
      }
      if (repair.isDue()) taken.nextDueAt = now;
      const hasNext = taken.jobs.length < limit && taken.nextDueAt < Infinity;
      return { leases: encodeLeases(taken.jobs, taken.records, output), nextDueAt: hasNext ? taken.nextDueAt : null };
    },
    extend: ({ leases: held, now, leaseMs }) =>
      held.map(({ seq, fence }) => {
        const job = leases.running.get(seq);
        if (job?.fence !== fence) return "lost";
        job.until = now + leaseMs;
        return job.isCancelling ? "cancelling" : "held";
      }),
    expired: ({ now, limit }, _, output) => {
      const ended = [...leases.running.values()].filter(({ until }) => until < now);
      const found = ended.sort((a, b) => a.seq - b.seq).slice(0, limit);
      const records = found.map(({ seq }) => recordOf(seq));
      const holders = found.map(({ owner, isOwnerGone, isCancelling }) => ({ owner, isOwnerGone, isCancelling }));
      return { leases: encodeLeases(found, records, output), holders };
    },
    recover: ({ owner }) => {
      const lost = [...leases.running.values()].filter((job) => job.owner === owner);
      for (const job of lost) Object.assign(job, { until: -Infinity, isOwnerGone: true });
      return lost.length;
    },
  } satisfies Partial<Verbs>;
}

/** The holder of a new lease. */
function heldSince({ owner, now, leaseMs }: LeaseRequest) {
  return { owner, isOwnerGone: false, startedAt: now, until: now + leaseMs, isCancelling: false };
}
