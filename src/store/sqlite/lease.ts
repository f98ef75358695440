import type { DatabaseSync } from "node:sqlite";
import type { BytesWriter } from "./bytes.ts";
import type { Channels } from "./channels.ts";
import { prepareQuery } from "./connection.ts";
import type { Counters } from "./counters.ts";
import { assertChecksum, checksum, type Payloads } from "./payloads.ts";
import { type Calls, type LeaseCells, QUEUED, RUNNING } from "./protocol.ts";

type Tables = { readonly channels: Channels; readonly counters: Counters; readonly payloads: Payloads };

const columns = `seq, attempt, fence, crashes, id, client, channel, pool, task, max_attempts, run_at, submitted_at,
  trace, input_kind, input_type, input, input_crc`;

/** What concerns jobs that wait and jobs that run. Each query names its index: the plan must not depend on statistics. */
export function createLeases(db: DatabaseSync, { channels, counters, payloads }: Tables) {
  const due = prepareQuery<Row>(
    db,
    `SELECT ${columns} FROM job INDEXED BY job_ready
     WHERE state = ${QUEUED} AND pool = ? AND run_at <= ? ORDER BY run_at, seq LIMIT ?`,
  );
  const claim = db.prepare(
    `UPDATE job SET state = ${RUNNING}, attempt = ?, fence = ?, owner = ?, started_at = ? WHERE seq = ?`,
  );
  const earliest = prepareQuery<[number | null]>(
    db,
    `SELECT min(run_at) FROM job INDEXED BY job_ready WHERE state = ${QUEUED} AND pool = ?`,
  );
  const abandoned = prepareQuery<Row>(
    db,
    `SELECT ${columns} FROM job INDEXED BY job_running
     WHERE state = ${RUNNING} AND owner <> ? ORDER BY seq LIMIT ?`,
  );

  /** The lease as it crosses, its input checked and put among the bytes; `raised` is added to attempt and fence. */
  function toCells(row: Row, raised: 0 | 1, bytes: BytesWriter): LeaseCells {
    const [seq, attempt, fence, crashes, id, client, channel, pool, task, maxAttempts, runAt, submittedAt, trace] = row;
    const [kind, type, inRow, crc] = [row[13], row[14], row[15], row[16]];
    const input = payloads.fetch(seq, "input", kind, inRow);
    const job = { id, client, task };
    assertChecksum("input", job, crc, checksum(job, [kind, type], input));
    if (input !== null) bytes.put(input);
    // biome-ignore format: as in the type
    return [seq, attempt + raised, fence + raised, crashes, id, client, channels.byId(channel).name, pool, task,
      maxAttempts, runAt, submittedAt, trace, kind, type, input === null ? 0 : input.length];
  }

  return {
    lease: (request: Calls["lease"]["request"], bytes: BytesWriter): Calls["lease"]["answer"] => {
      const { pool, limit, now, owner } = request;
      const leases = due.all(pool, now, limit).map((row) => toCells(row, 1, bytes));
      for (const [seq, attempt, fence] of leases) claim.run(attempt, fence, owner, now, seq);
      if (leases.length > 0) {
        counters.add(pool, QUEUED, -leases.length);
        counters.add(pool, RUNNING, leases.length);
      }
      return { leases, nextDueAt: leases.length < limit ? earliest.get(pool)![0] : null };
    },
    expired: ({ owner, limit }: Calls["expired"]["request"], bytes: BytesWriter): Calls["expired"]["answer"] =>
      abandoned.all(owner, limit).map((row) => toCells(row, 0, bytes)),
    oldestDue: ({ pools, now }: Calls["oldestDue"]["request"]): Calls["oldestDue"]["answer"] =>
      pools.map((pool) => {
        const [runAt] = earliest.get(pool)!;
        return runAt !== null && runAt <= now ? runAt : null;
      }),
  };
}

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
];
