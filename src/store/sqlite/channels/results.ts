import type { DatabaseSync } from "node:sqlite";
import { decodeResult } from "../../../job/ending.ts";
import { isSound } from "../../../job/wire.ts";
import type { Acked, AckRequest } from "../../store.ts";
import { areRight, isBound } from "../integrity/checked-rows.ts";
import { substituteEnding } from "../jobs/known-job.ts";
import type { BytesWriter } from "../thread/bytes.ts";
import { type Bytes, endedColumns, endedNumbers, type EndedNumbers } from "../jobs/job-rows.ts";
import { textOfId } from "../thread/columns.ts";
import { prepareQuery, prepareTuples } from "../thread/connection.ts";
import type { Calls } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
type Row = [...EndedNumbers, ending: Bytes, id: Bytes | null, task: number | null];
const checksumAt = endedColumns.length;
const endingAt = checksumAt + 1;

/** Reads a channel's results and acknowledges them. */
export function createResults(db: DatabaseSync, { channels, damage, names, resultCache }: Tables) {
  const after = prepareTuples(
    db,
    `SELECT ${endedNumbers}, ending, id, task FROM ended INDEXED BY ended_position
     WHERE channel = ? AND cursor > ? ORDER BY cursor LIMIT ? + 0`,
  );
  const ofJob = prepareQuery<[id: Bytes, task: number, submittedAt: number, channel: number]>(
    db,
    "SELECT id, task, submitted_at, channel FROM job WHERE seq = ?",
  );

  /** What to deliver for a row: its ending, or what stands for one that is damaged or another job's. Undefined: nothing. */
  function deliverable(row: Row): Uint8Array | undefined {
    const ending = row[endingAt] as Bytes;
    const formerId = row[endingAt + 1] as Bytes | null;
    const isWhole = isSound(ending);
    const isRight = areRight(row, 0, endedColumns) && isBound(row[checksumAt], ending, formerId ?? undefined);
    if (isWhole && isRight) return ending;
    const [seq, , , channel, , , attempts, , crashes, redrives, , , finishedAt] = row;
    const found = formerId ? ([formerId, row[endingAt + 2] as number, finishedAt, channel] as const) : ofJob.get(seq);
    if (!found) return void damage.found("output", `number ${seq}`);
    const [id, task, submittedAt, jobsChannel] = found;
    const job = { id: textOfId(id), task: names.text(task), submittedAt };
    if (isWhole && jobsChannel === channel && decodeResult(ending, 0).id === job.id) return ending;
    return substituteEnding(job, { attempts, crashes, redrives, finishedAt }, damage.found("output", job.id));
  }

  /** Row by row: one that is not delivered may be as long as an output may be. */
  function readRows(channel: number, from: number, limit: number, maxBytes: number) {
    const cursors: number[] = [];
    const endings: Uint8Array[] = [];
    let total = 0;
    for (const row of after.iterate(channel, from, limit) as unknown as Iterable<Row>) {
      const stored = row[endingAt] as Bytes;
      total += stored.length;
      if (endings.length > 0 && total > maxBytes) break;
      const ending = deliverable(row);
      if (!ending) continue;
      cursors.push(row[4]);
      endings.push(ending);
    }
    return { cursors, endings, sizes: endings.map(({ length }) => length) };
  }

  function results(request: Calls["results"]["request"], output: BytesWriter): Calls["results"]["answer"] {
    const { client, afterCursor, limit, maxBytes } = request;
    const channel = channelOf(client, request.channel);
    const { last, acked } = channel ?? { last: 0, acked: 0 };
    const from = Math.max(afterCursor, acked);
    const none = { cursors: [], endings: [], sizes: [] };
    const read =
      channel && limit > 0 && from < last
        ? (resultCache.take(channel, from, limit, maxBytes) ?? readRows(channel.id, from, limit, maxBytes))
        : none;
    for (const each of read.endings) output.put(each);
    const found = { cursor: Float64Array.from(read.cursors), endingBytes: Float64Array.from(read.sizes) };
    return { results: found, lastCursor: last, ackedCursor: acked };
  }

  /** A channel with a name: other results are not read. */
  function channelOf(client: string, name: string) {
    const owner = names.find(client);
    return owner === undefined || name === "" ? undefined : channels.find(owner, name);
  }

  function ackOne({ client, channel: name, cursor }: AckRequest): Acked {
    const channel = channelOf(client, name);
    const last = channel ? channel.last : 0;
    if (cursor > last) return { kind: "out_of_range", lastCursor: last };
    if (!channel) return { kind: "acknowledged", cursor: 0 };
    if (cursor > channel.acked) channels.acknowledge(channel, cursor);
    return { kind: "acknowledged", cursor: channel.acked };
  }

  return { results, ack: (requests: Calls["ack"]["request"]): Calls["ack"]["answer"] => requests.map(ackOne) };
}
