import type { DatabaseSync } from "node:sqlite";
import type { BytesWriter } from "./bytes.ts";
import { isInputChecksum } from "./checksums.ts";
import type { LeaseRequest } from "../store.ts";
import { prepareQuery } from "./connection.ts";
import type { Damaged } from "./damage.ts";
import { type Calls, type LeaseCells, noWishes, QUEUED, RUNNING, type Wishes } from "./protocol.ts";
import type { Line, Ready } from "./ready.ts";
import { jobSum } from "./row-sum.ts";
import type { Tables } from "./tables.ts";

const columns = `job.seq, attempt, fence, crashes, id, client, channel, job.pool, task, max_attempts, run_at,
  submitted_at, trace, input_kind, input_type, input, input_crc,
  CASE WHEN priority = 0 AND coalesce(job.expires_at, idempotency_key, options) IS NULL THEN NULL
    ELSE json_array(priority, job.expires_at, CAST(idempotency_key AS TEXT), CAST(options AS TEXT)) END,
  redrives, ${jobSum.isRight}`;

/** Gives jobs to those who run them. Each query names its index: the plan must not depend on statistics. */
export function createLeases(db: DatabaseSync, tables: Tables, ready: Ready) {
  const { channels, counters, damage, deadlines, payloads, running } = tables;
  const dueIn = ({ sql }: Line) =>
    prepareQuery<Row>(db, `SELECT ${columns} ${sql} AND priority = ? AND run_at <= ? ORDER BY run_at, seq LIMIT ?`);
  const due = dueIn(ready.ordinary);
  const dueSuspects = dueIn(ready.suspects);
  const overdue = prepareQuery<Row>(
    db,
    `SELECT ${columns} FROM deadline CROSS JOIN job NOT INDEXED ON job.seq = deadline.seq
       AND job.pool = deadline.pool AND job.expires_at = deadline.expires_at
     WHERE deadline.pool = ? AND deadline.expires_at <= ? AND state = ${QUEUED} ORDER BY deadline.expires_at, deadline.seq LIMIT ?`,
  );
  const claim = db.prepare(`
    UPDATE job SET state = ${RUNNING}, attempt = ?, fence = ?, owner = ?,
      row_sum = row_sum + ${jobSum.of({ state: RUNNING - QUEUED, attempt: 1, fence: 1 })}
    WHERE seq = ?`);
  const move = db.prepare("UPDATE job SET channel = ? WHERE seq = ?");
  const held = prepareQuery<Row>(db, `SELECT ${columns} FROM job WHERE seq = ?`);

  /** The input of a row; or what of the row is not what was written. */
  function inputOf(row: Row, wishes: Wishes): Payload | Damaged {
    const [seq, , , , id, client, channel, pool, task, maxAttempts, , submittedAt, trace] = row;
    const [kind, type, crc, isRight] = [row[13], row[14], row[16], row[19]];
    const [priority, , idempotencyKey, options] = wishes ?? noWishes;
    const bytes = payloads.fetch(seq, "input", kind, row[15]);
    const terms = { channel, pool, maxAttempts, submittedAt, trace, priority, idempotencyKey };
    if (!isInputChecksum(crc, { id, client, task }, kind, type, options, bytes, terms)) return "input";
    return isRight === 1 ? { kind, type, bytes } : "state";
  }

  /** The lease as it crosses; `raised` is added to attempt and fence. Of a damaged job the input is left out, and it is told. */
  function toCells(row: Row, raised: 0 | 1, input: Payload | Damaged, wishes: Wishes, output: BytesWriter): LeaseCells {
    const { kind, type, bytes } = typeof input === "string" ? nothing : input;
    const [seq, attempt, fence, crashes, id, client, channel, pool, task, maxAttempts, runAt, submittedAt, trace] = row;
    if (bytes !== null) output.put(bytes);
    // biome-ignore format: as in the type
    return [seq, attempt + raised, fence + raised, crashes, id, client, channels.nameOf(channel), pool, task,
      maxAttempts, runAt, submittedAt, trace, kind, type, bytes === null ? 0 : bytes.length,
      wishes, typeof input === "string" ? JSON.stringify(damage.found(input, id)) : null, row[18]];
  }

  /** A damaged job is to end without harm to others: its deadline is looked for, and its channel is one of its client's. */
  function mend(row: Row): Row {
    const [seq, , , , , client, channel] = row;
    deadlines.removeDamaged(seq);
    const { id } = channels.ofJob(channel, client);
    if (id !== channel) move.run(id, seq);
    return row.with(6, id) as Row;
  }

  /** A row, mended where it is damaged, with its wishes, and its input or what of it is damaged. */
  function look(found: Row): { row: Row; wishes: Wishes; input: Payload | Damaged } {
    const wishes = wishesOf(found);
    const input = inputOf(found, wishes);
    return { row: typeof input === "string" ? mend(found) : found, wishes, input };
  }

  function claimOne(row: Row, input: Payload | Damaged, wishes: Wishes, { owner, now, leaseMs }: LeaseRequest): void {
    const [seq, before, fenceBefore, , id, client, channel, pool, task, , , submittedAt] = row;
    const [attempt, fence] = [before + 1, fenceBefore + 1];
    claim.run(attempt, fence, owner, seq);
    const [, expiresAt, , options] = wishes ?? noWishes;
    if (expiresAt !== null) deadlines.remove(pool, expiresAt, seq);
    let onlyBytes: number | null = null;
    if (fence === 1 && typeof input !== "string") onlyBytes = input.bytes === null ? 0 : input.bytes.length;
    // biome-ignore format: what of the job, what of its input, what of the lease
    running.set(seq, { fence, attempt, owner, id, client, task, pool, channel, expiresAt,
      submittedAt, redrives: row[18], options, isRight: row[19] === 1, onlyBytes,
      startedAt: now, until: now + leaseMs, isOwnerGone: false, isCancelling: false });
  }

  function take(rows: readonly Row[], request: LeaseRequest, leases: LeaseCells[], output: BytesWriter): void {
    for (const found of rows) {
      const { row, wishes, input } = look(found);
      claimOne(row, input, wishes, request);
      leases.push(toCells(row, 1, input, wishes, output));
    }
  }

  function leaseOverdue(request: LeaseRequest, output: BytesWriter): Answer {
    const { pool, limit, now } = request;
    const leases: LeaseCells[] = [];
    take(overdue.all(pool, now, limit), request, leases, output);
    return { leases, nextDueAt: null };
  }

  function leaseDue(request: LeaseRequest, output: BytesWriter): Answer {
    const { pool, limit, now, suspects = false } = request;
    const [line, find] = suspects ? [ready.suspects, dueSuspects] : [ready.ordinary, due];
    const leases: LeaseCells[] = [];
    let nextDueAt = Infinity;
    let priority = line.nextPriority(pool);
    while (priority !== undefined && leases.length < limit) {
      const asked = limit - leases.length;
      const rows = find.all(pool, priority, now, asked);
      take(rows, request, leases, output);
      if (rows.length === asked) break;
      nextDueAt = Math.min(nextDueAt, line.earliest(pool, priority) ?? Infinity);
      priority = line.nextPriority(pool, priority);
    }
    return { leases, nextDueAt: leases.length < limit && nextDueAt < Infinity ? nextDueAt : null };
  }

  return {
    lease: (request: LeaseRequest, output: BytesWriter): Answer => {
      const answer = request.onlyExpired === true ? leaseOverdue(request, output) : leaseDue(request, output);
      const taken = answer.leases.length;
      counters.heard(request.now);
      if (taken > 0) {
        counters.add(request.pool, QUEUED, -taken);
        counters.add(request.pool, RUNNING, taken);
      }
      return answer;
    },
    extend: ({ leases, now, leaseMs }: Calls["extend"]["request"]): Calls["extend"]["answer"] =>
      leases.map(({ seq, fence }) => {
        const job = running.get(seq);
        if (job?.fence !== fence) return "lost";
        job.until = now + leaseMs;
        return job.isCancelling ? "cancelling" : "held";
      }),
    expired: (request: Calls["expired"]["request"], output: BytesWriter): Calls["expired"]["answer"] => {
      const { now, limit } = request;
      const ended = [...running].filter(([, job]) => job.until < now);
      ended.sort(([a], [b]) => a - b);
      return ended.slice(0, limit).map(([seq, job]) => {
        const { row, wishes, input } = look(held.get(seq)!);
        if (typeof input === "string") running.set(seq, { ...job, channel: row[6] });
        const lease = toCells(row, 0, input, wishes, output);
        const { isCancelling, owner, isOwnerGone } = job;
        return { lease, isCancelling, owner, isOwnerGone };
      });
    },
    recover: ({ owner }: Calls["recover"]["request"]): Calls["recover"]["answer"] => {
      const left = [...running.values()].filter((job) => job.owner === owner);
      for (const job of left) Object.assign(job, { until: -Infinity, isOwnerGone: true });
      return left.length;
    },
  };
}

type Answer = Calls["lease"]["answer"];
type Payload = {
  readonly kind: number | null;
  readonly type: string | null;
  readonly bytes: Uint8Array<ArrayBuffer> | null;
};

const nothing: Payload = { kind: null, type: null, bytes: null };

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
  redrives: number,
  isRight: number,
];

function wishesOf(row: Row): Wishes {
  return row[17] === null ? null : (JSON.parse(row[17]) as Wishes);
}
