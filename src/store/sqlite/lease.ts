import type { DatabaseSync } from "node:sqlite";
import type { BytesWriter } from "./bytes.ts";
import type { LeaseRequest } from "../store.ts";
import { prepareQuery } from "./connection.ts";
import { type EndQueued, queuedColumns, type QueuedRow } from "./end-queued.ts";
import { inputChecksum } from "./payloads.ts";
import { type Calls, DEAD, deadReasons, type LeaseCells, QUEUED, RUNNING, type Wishes } from "./protocol.ts";
import type { Ready } from "./ready.ts";
import type { Tables } from "./tables.ts";

const columns = `seq, attempt, fence, crashes, id, client, channel, pool, task, max_attempts, run_at, submitted_at,
  trace, input_kind, input_type, input, input_crc,
  CASE WHEN priority = 0 AND coalesce(expires_at, idempotency_key, options) IS NULL THEN NULL
    ELSE json_array(priority, expires_at, idempotency_key, options) END`;
const permanent = deadReasons.indexOf("permanent");

/** Gives jobs to those who run them. Each query names its index: the plan must not depend on statistics. */
export function createLeases(db: DatabaseSync, tables: Tables, ready: Ready, endQueued: EndQueued) {
  const { channels, counters, damage, payloads } = tables;
  const due = prepareQuery<Row>(
    db,
    `SELECT ${columns} FROM job INDEXED BY job_ready
     WHERE state = ${QUEUED} AND pool = ? AND priority = ? AND run_at <= ? ORDER BY run_at, seq LIMIT ?`,
  );
  const overdue = prepareQuery<Row>(
    db,
    `SELECT ${columns} FROM job INDEXED BY job_deadline
     WHERE state = ${QUEUED} AND pool = ? AND expires_at <= ? ORDER BY expires_at, seq LIMIT ?`,
  );
  const waiting = prepareQuery<QueuedRow>(db, `SELECT ${queuedColumns} FROM job WHERE seq = ?`);
  const claim = db.prepare(
    `UPDATE job SET state = ${RUNNING}, attempt = ?, fence = ?, owner = ?, lease_until = ?, started_at = ? WHERE seq = ?`,
  );
  const prolong = prepareQuery<[number]>(
    db,
    `UPDATE job SET lease_until = ? WHERE seq = ? AND fence = ? AND state = ${RUNNING} RETURNING cancelling`,
  );
  const abandoned = prepareQuery<[...Row, isCancelling: number, owner: string]>(
    db,
    `SELECT ${columns}, cancelling, owner FROM job INDEXED BY job_running
     WHERE state = ${RUNNING} AND seq > 0 AND (owner <> ? OR lease_until < ?) ORDER BY seq LIMIT ?`,
  );

  /** The input of a row; undefined when it is not what was written. */
  function inputOf(row: Row): Payload | undefined {
    const [seq, , , , id, client, , , task] = row;
    const [kind, type, crc] = [row[13], row[14], row[16]];
    const options = toWishes(row)?.[3] ?? null;
    const bytes = payloads.fetch(seq, "input", kind, row[15]);
    const isSound = crc === inputChecksum({ id, client, task }, kind, type, options, bytes);
    return isSound ? { kind, type, bytes } : undefined;
  }

  /** The lease as it crosses; `raised` is added to attempt and fence. */
  function toCells(row: Row, raised: 0 | 1, { kind, type, bytes }: Payload, output: BytesWriter): LeaseCells {
    const [seq, attempt, fence, crashes, id, client, channel, pool, task, maxAttempts, runAt, submittedAt, trace] = row;
    if (bytes !== null) output.put(bytes);
    // biome-ignore format: as in the type
    return [seq, attempt + raised, fence + raised, crashes, id, client, channels.byId(channel).name, pool, task,
      maxAttempts, runAt, submittedAt, trace, kind, type, bytes === null ? 0 : bytes.length,
      toWishes(row)];
  }

  /** Leases these rows; one whose input is damaged must not run, nor stand in the way of others: it is dead. */
  function take(rows: readonly Row[], request: LeaseRequest, leases: LeaseCells[], output: BytesWriter): void {
    for (const row of rows) {
      const [seq, attempt, fence, , id] = row;
      const input = inputOf(row);
      if (input) {
        claim.run(attempt + 1, fence + 1, request.owner, request.until, request.now, seq);
        leases.push(toCells(row, 1, input, output));
      } else endQueued(waiting.get(seq)!, DEAD, permanent, JSON.stringify(damage.found("input", id)), request.now);
    }
  }

  function leaseOverdue(request: LeaseRequest, output: BytesWriter): Answer {
    const { pool, limit, now } = request;
    const leases: LeaseCells[] = [];
    for (;;) {
      const asked = limit - leases.length;
      const rows = overdue.all(pool, now, asked);
      take(rows, request, leases, output);
      if (leases.length === limit || rows.length < asked) return { leases, nextDueAt: null };
    }
  }

  function leaseDue(request: LeaseRequest, output: BytesWriter): Answer {
    const { pool, limit, now } = request;
    const leases: LeaseCells[] = [];
    let nextDueAt = Infinity;
    let priority = ready.nextPriority(pool);
    while (priority !== undefined && leases.length < limit) {
      const asked = limit - leases.length;
      const rows = due.all(pool, priority, now, asked);
      take(rows, request, leases, output);
      if (rows.length === asked) continue; // and some may have been damaged
      nextDueAt = Math.min(nextDueAt, ready.earliest(pool, priority) ?? Infinity);
      priority = ready.nextPriority(pool, priority);
    }
    return { leases, nextDueAt: leases.length < limit && nextDueAt < Infinity ? nextDueAt : null };
  }

  return {
    lease: (request: LeaseRequest, output: BytesWriter): Answer => {
      const answer = request.onlyExpired === true ? leaseOverdue(request, output) : leaseDue(request, output);
      const taken = answer.leases.length;
      if (taken > 0) {
        counters.add(request.pool, QUEUED, -taken);
        counters.add(request.pool, RUNNING, taken);
      }
      return answer;
    },
    extend: ({ leases, until }: Calls["extend"]["request"]): Calls["extend"]["answer"] =>
      leases.map(({ seq, fence }) => {
        const held = prolong.get(until, seq, fence);
        if (!held) return "lost";
        return held[0] === 1 ? "cancelling" : "held";
      }),
    /** A damaged input is left out: whoever settles the attempt does not need it, and the next lease finds it again. */
    expired: (request: Calls["expired"]["request"], output: BytesWriter): Calls["expired"]["answer"] => {
      const { owner, others, now, limit } = request;
      return abandoned.all(others ? owner : null, now, limit).map((row) => {
        const described = row.slice(0, 18) as unknown as Row;
        const input = inputOf(described);
        if (!input) damage.found("input", row[4]);
        const lease = toCells(described, 0, input ?? { kind: null, type: null, bytes: null }, output);
        return { lease, isCancelling: row[18] === 1, owner: row[19] };
      });
    },
  };
}

type Answer = Calls["lease"]["answer"];
type Payload = {
  readonly kind: number | null;
  readonly type: string | null;
  readonly bytes: Uint8Array<ArrayBuffer> | null;
};

type Row = [
  seq: number,
  attempt: number,
  fence: number,
  crashes: number,
  id: string,
  client: string,
  channel: number,
  pool: string,
  task: string,
  maxAttempts: number,
  runAt: number,
  submittedAt: number,
  trace: string | null,
  kind: number | null,
  type: string | null,
  input: Uint8Array<ArrayBuffer> | null,
  crc: number,
  wishes: string | null,
];

function toWishes(row: Row): Wishes {
  return row[17] === null ? null : (JSON.parse(row[17]) as Wishes);
}
