import type { DatabaseSync } from "node:sqlite";
import type { Settled } from "../store.ts";
import type { BytesReader } from "./bytes.ts";
import { outputChecksum } from "./checksums.ts";
import { prepareQuery } from "./connection.ts";
import { bytesOfRunning } from "./kept.ts";
import { inRow } from "./payloads.ts";
import { CANCELLED, type Calls, DEAD, outcomes, QUEUED, RUNNING, SUCCEEDED, type SettlementCells } from "./protocol.ts";
import { jobSum, wrongSum } from "./row-sum.ts";
import type { Tables } from "./tables.ts";

const succeeded = outcomes.indexOf("succeeded");

/** Writes how attempts ended, and the result of each job that is final with it. */
export function createSettle(db: DatabaseSync, tables: Tables) {
  const { channels, counters, deadLetters, deadlines, history, payloads, running } = tables;
  const update = db.prepare(`
    UPDATE job SET state = ?, attempt = ?, crashes = ?, run_at = coalesce(?, run_at), started_at = ?, finished_at = ?, cursor = ?,
      owner = NULL, failure = ?, output_kind = ?, output_type = ?, output = ?, output_crc = ?,
      row_sum = ?
    WHERE seq = ?`);
  const measure = prepareQuery<[bytes: number]>(db, `SELECT ${bytesOfRunning} FROM job WHERE seq = ?`);
  const updateRare = db.prepare("UPDATE job SET cancelling = 0, dead_reason = ? WHERE seq = ?");
  const lastFailure = prepareQuery<[string | null]>(db, "SELECT failure FROM job WHERE seq = ?");

  /** An attempt that is not counted leaves the start of the one before, if that was. */
  function startOf(cells: SettlementCells, attempt: number): number | null {
    const [seq, , , counted, , , startedAt] = cells;
    return counted < attempt && counted > 0 ? history.lastStart(seq) : startedAt;
  }

  function settleOne(cells: SettlementCells, given: Uint8Array | null): Settled {
    const [seq, fence, state, attempts, crashes, runAt, startedAt, finishedAt, ownFailure] = cells;
    const [outcome, deadReason] = [cells[12], cells[13]];
    const job = running.get(seq);
    if (job?.fence !== fence) return "stale";
    if (job.isCancelling && state !== SUCCEEDED && state !== CANCELLED) return "cancelling";
    const isFinal = state !== QUEUED;
    // a job that was given back still waits for what its last attempt failed with
    const isGivenBack = !isFinal && ownFailure === null && attempts > 0;
    const failure = isGivenBack ? (lastFailure.get(seq)?.[0] ?? null) : ownFailure;
    const [kind, type, output] = isFinal ? [cells[9], cells[10], given] : [null, null, null];
    let bytes = isFinal ? (job.onlyBytes ?? measure.get(seq)![0]) : 0;
    payloads.setApart(seq, "output", output);
    const startAt = startOf(cells, job.attempt);
    const { submittedAt, redrives, options, expiresAt, isRight } = job;
    const ending = { state, attempts, startedAt: startAt, finishedAt, deadReason, submittedAt, redrives, options };
    const crc = outputChecksum(job, kind, type, failure, output, isFinal ? ending : null);
    const cursor = isFinal ? channels.append(channels.byId(job.channel), state, finishedAt) : null;
    const numbers = {
      ...{ state, attempt: attempts, fence, crashes, redrives, channel: job.channel },
      ...{ expires_at: expiresAt, submitted_at: submittedAt },
    };
    const sum = isRight ? jobSum.of(numbers) : wrongSum;
    // biome-ignore format: one line per line of the statement
    update.run(state, attempts, crashes, isFinal ? null : runAt, startAt, isFinal ? finishedAt : null, cursor,
      failure, kind, type, inRow(output), crc,
      sum,
      seq);
    running.delete(seq);
    if (job.isCancelling || deadReason !== null) updateRare.run(deadReason, seq);
    if (state === DEAD) deadLetters.add(seq, job.client, job.pool, finishedAt);
    if (!isFinal && job.expiresAt !== null) deadlines.add(job.pool, job.expiresAt, seq);
    if (ownFailure !== null) {
      bytes += Buffer.byteLength(ownFailure);
      if (outcome !== succeeded) {
        bytes += history.add(seq, fence, job.attempt, outcome, ownFailure, startedAt, finishedAt);
      }
    }
    counters.stored(finishedAt);
    counters.add(job.pool, RUNNING, -1);
    counters.add(job.pool, state, 1);
    if (isFinal) counters.addBytes(state, bytes + (output === null ? 0 : output.length));
    return "written";
  }

  return (settlements: Calls["settle"]["request"], bytes: BytesReader): Calls["settle"]["answer"] =>
    settlements.map((cells) => settleOne(cells, cells[9] === null ? null : bytes.take(cells[11])));
}
