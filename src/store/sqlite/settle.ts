import type { DatabaseSync } from "node:sqlite";
import type { Settled } from "../store.ts";
import type { BytesReader } from "./bytes.ts";
import { prepareQuery } from "./connection.ts";
import { bytesOfFirst, bytesOfRunning } from "./kept.ts";
import { inRow, outputChecksum } from "./payloads.ts";
import { CANCELLED, type Calls, outcomes, QUEUED, RUNNING, SUCCEEDED, type SettlementCells } from "./protocol.ts";
import type { Tables } from "./tables.ts";

const succeeded = outcomes.indexOf("succeeded");

/** Writes how attempts ended, and the result of each job that is final with it. */
export function createSettle(db: DatabaseSync, { channels, counters, history, payloads }: Tables) {
  const find = prepareQuery<RunningRow>(
    db,
    `SELECT id, client, task, pool, channel, cancelling, ${bytesOfFirst}
     FROM job WHERE seq = ? AND fence = ? AND state = ${RUNNING}`,
  );
  const update = db.prepare(`
    UPDATE job SET state = ?, attempt = ?, crashes = ?, run_at = ?, started_at = ?, finished_at = ?, cursor = ?,
      owner = NULL, failure = ?, output_kind = ?, output_type = ?, output = ?, output_crc = ?
    WHERE seq = ?`);
  const measure = prepareQuery<[bytes: number]>(db, `SELECT ${bytesOfRunning} FROM job WHERE seq = ?`);
  const leased = prepareQuery<[attempt: number]>(db, "SELECT attempt FROM job WHERE seq = ?");
  const updateRare = db.prepare("UPDATE job SET cancelling = 0, dead_reason = ? WHERE seq = ?");

  const lastFailure = prepareQuery<[string | null]>(db, "SELECT failure FROM job WHERE seq = ?");

  /** An attempt that never began leaves the start of the one before, if that was counted. */
  function startOf(cells: SettlementCells): number | null {
    const [seq, , , attempt, , , startedAt] = cells;
    return startedAt === null && attempt > 0 ? history.lastStart(seq) : startedAt;
  }

  function settleOne(cells: SettlementCells, given: Uint8Array | null): Settled {
    const [seq, fence, state, attempts, crashes, runAt, startedAt, finishedAt, ownFailure] = cells;
    const [outcome, deadReason] = [cells[12], cells[13]];
    const running = find.get(seq, fence);
    if (!running) return "stale";
    const [id, client, task, pool, channelId, isCancelling, firstBytes] = running;
    const isFinal = state !== QUEUED;
    // a job that was given back still waits for what its last attempt failed with
    const isGivenBack = !isFinal && ownFailure === null && attempts > 0;
    const failure = isGivenBack ? (lastFailure.get(seq)?.[0] ?? null) : ownFailure;
    if (isCancelling === 1 && state !== SUCCEEDED && state !== CANCELLED) return "cancelling";
    const [kind, type, output] = isFinal ? [cells[9], cells[10], given] : [null, null, null];
    const bytes = firstBytes ?? measure.get(seq)![0];
    payloads.setApart(seq, "output", output);
    const crc = outputChecksum({ id, client, task }, kind, type, failure, output);
    const isFailed = failure !== null && outcome !== succeeded;
    const attempt = isFailed ? leased.get(seq)![0] : 0;
    const cursor = isFinal ? channels.append(channels.byId(channelId), state, finishedAt) : null;
    // biome-ignore format: one line per line of the statement
    update.run(state, attempts, crashes, runAt, startOf(cells), isFinal ? finishedAt : null, cursor,
      failure, kind, type, inRow(output), crc,
      seq);
    if (isCancelling === 1 || deadReason !== null) updateRare.run(deadReason, seq);
    let added = bytes + (output === null ? 0 : output.length);
    if (ownFailure !== null) {
      added += Buffer.byteLength(ownFailure);
      if (outcome !== succeeded) added += history.add(seq, fence, attempt, outcome, ownFailure, startedAt, finishedAt);
    }
    counters.add(pool, RUNNING, -1);
    counters.add(pool, state, 1);
    if (isFinal) counters.addBytes(state, added);
    return "written";
  }

  return (settlements: Calls["settle"]["request"], bytes: BytesReader): Calls["settle"]["answer"] =>
    settlements.map((cells) => settleOne(cells, cells[9] === null ? null : bytes.take(cells[11])));
}

type RunningRow = [
  id: string,
  client: string,
  task: string,
  pool: string,
  channel: number,
  isCancelling: number,
  firstBytes: number | null,
];
