import type { DatabaseSync } from "node:sqlite";
import type { BytesReader } from "./bytes.ts";
import type { Channels } from "./channels.ts";
import { prepareQuery } from "./connection.ts";
import type { Counters } from "./counters.ts";
import { checksum, inRow, type Payloads } from "./payloads.ts";
import { type Calls, QUEUED, RUNNING, type SettlementCells } from "./protocol.ts";

type Tables = { readonly channels: Channels; readonly counters: Counters; readonly payloads: Payloads };

/** Writes how attempts ended, and the result of each job that is final with it. */
export function createSettle(db: DatabaseSync, { channels, counters, payloads }: Tables) {
  const find = prepareQuery<RunningRow>(
    db,
    `SELECT id, client, task, pool, channel FROM job WHERE seq = ? AND fence = ? AND state = ${RUNNING}`,
  );
  const update = db.prepare(`
    UPDATE job SET state = ?, attempt = ?, crashes = ?, run_at = ?, started_at = ?, finished_at = ?, cursor = ?,
      owner = NULL, failure = ?, output_kind = ?, output_type = ?, output = ?, output_crc = ?
    WHERE seq = ?`);

  function nextCursor(channelId: number): number {
    const channel = channels.byId(channelId);
    channels.touch(channel);
    return ++channel.last;
  }

  function settleOne(cells: SettlementCells, given: Uint8Array | null): boolean {
    const [seq, fence, state, attempt, crashes, runAt, startedAt, finishedAt, failure] = cells;
    const running = find.get(seq, fence);
    if (!running) return false;
    const [id, client, task, pool, channelId] = running;
    const isFinal = state !== QUEUED;
    const [kind, type, output] = isFinal ? [cells[9], cells[10], given] : [null, null, null];
    payloads.setApart(seq, "output", output);
    const crc = checksum({ id, client, task }, [kind, type, failure], output);
    const cursor = isFinal ? nextCursor(channelId) : null;
    // biome-ignore format: one line per line of the statement
    update.run(state, attempt, crashes, runAt, startedAt, isFinal ? finishedAt : null, cursor,
      failure, kind, type, inRow(output), crc,
      seq);
    counters.add(pool, RUNNING, -1);
    counters.add(pool, state, 1);
    return true;
  }

  return (settlements: Calls["settle"]["request"], bytes: BytesReader): Calls["settle"]["answer"] =>
    settlements.map((cells) => settleOne(cells, cells[9] === null ? null : bytes.take(cells[11])));
}

type RunningRow = [id: string, client: string, task: string, pool: string, channel: number];
