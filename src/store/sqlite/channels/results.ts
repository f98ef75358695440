import type { DatabaseSync } from "node:sqlite";
import { decodeResult } from "../../../job/ending.ts";
import { isSound } from "../../../job/wire.ts";
import type { Acked, AckRequest } from "../../store.ts";
import { areRight, isBound } from "../integrity/checked-rows.ts";
import { substituteEnding } from "../integrity/substitutes.ts";
import type { BytesWriter } from "../thread/bytes.ts";
import { endedColumns, endedNumbers, type EndedNumbers } from "../jobs/job-rows.ts";
import { textOfId, toNumberColumn } from "../thread/columns.ts";
import { prepareQuery, prepareTuples } from "../thread/connection.ts";
import type { Calls } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";

type Bytes = Uint8Array<ArrayBuffer>;
/** Of a result that has lost its job, `seq` is 0, and no checksum is kept. */
type Row = [...EndedNumbers, ending: Bytes];
const checksumAt = endedColumns.length;
type DamagedRow = [
  id: Bytes,
  task: number,
  submittedAt: number,
  attempts: number,
  crashes: number,
  redrives: number,
  finishedAt: number,
  channel: number,
];

/** Reads a channel's results and acknowledges them. */
export function createResults(db: DatabaseSync, { channels, damage, names }: Tables) {
  const ofJobs = `SELECT ${endedNumbers}, ending FROM ended INDEXED BY ended_position WHERE channel = ?1 AND cursor > ?2`;
  const after = prepareTuples(db, `${ofJobs} ORDER BY cursor LIMIT ?3 + 0`);
  const afterWithFormers = prepareTuples(
    db,
    `${ofJobs} UNION ALL
     SELECT 0, 0, 0, channel, cursor, state, 0, 0, 0, 0, 0, NULL, finished_at, NULL, 0, 0, ending FROM former_result WHERE channel = ?1 AND cursor > ?2
     ORDER BY cursor LIMIT ?3 + 0`,
  );
  const ofJob = prepareQuery<DamagedRow>(
    db,
    `SELECT id, task, submitted_at, attempts, crashes, redrives, finished_at, job.channel FROM ended CROSS JOIN job ON job.seq = ended.seq
     WHERE ended.seq = ?`,
  );
  const ofFormer = prepareQuery<DamagedRow>(
    db,
    "SELECT id, task, finished_at, 0, 0, 0, finished_at, channel FROM former_result WHERE channel = ? AND cursor = ?",
  );

  /** What to deliver for a row: its ending, or what stands for one that is damaged or another job's. Undefined: nothing. */
  function deliverable(row: Row): Uint8Array | undefined {
    const [seq, , , channel, cursor] = row;
    const ending = row[checksumAt + 1] as Bytes;
    const isWhole = isSound(ending);
    const isRight = seq === 0 || (areRight(row, 0, endedColumns) && isBound(row[checksumAt], ending));
    if (isWhole && isRight) return ending;
    const found = seq === 0 ? ofFormer.get(channel, cursor) : ofJob.get(seq);
    if (!found) return void damage.found("output", `number ${seq}`);
    const [id, task, submittedAt, attempts, crashes, redrives, finishedAt, jobsChannel] = found;
    const job = { id: textOfId(id), task: names.text(task), submittedAt };
    if (isWhole && jobsChannel === channel && decodeResult(ending, 0).id === job.id) return ending;
    return substituteEnding(job, { attempts, crashes, redrives, finishedAt }, damage.found("output", job.id));
  }

  function results(request: Calls["results"]["request"], output: BytesWriter): Calls["results"]["answer"] {
    const { client, afterCursor, limit, maxBytes } = request;
    const cursors: number[] = [];
    const endings: Uint8Array[] = [];
    const channel = channelOf(client, request.channel);
    const rows = channel && channel.formers > 0 ? afterWithFormers : after;
    let total = 0;
    // row by row: one that is not delivered may be as long as an output may be
    const found = channel ? rows.iterate(channel.id, Math.max(afterCursor, channel.acked), limit) : [];
    for (const row of found as unknown as Iterable<Row>) {
      const stored = row[checksumAt + 1] as Bytes;
      total += stored.length;
      if (endings.length > 0 && total > maxBytes) break;
      const ending = deliverable(row);
      if (!ending) continue;
      cursors.push(row[4]);
      endings.push(ending);
    }
    for (const ending of endings) output.put(ending);
    const endingBytes = toNumberColumn(endings, ({ length }) => length);
    const { last, acked } = channel ?? { last: 0, acked: 0 };
    return { results: { cursor: Float64Array.from(cursors), endingBytes }, lastCursor: last, ackedCursor: acked };
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
