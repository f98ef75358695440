import { readEnding } from "../../../job/ending.ts";
import { isSound } from "../../../job/wire.ts";
import type { Acked, AckRequest } from "../../store.ts";
import { areRight, isBound } from "../integrity/checked-rows.ts";
import { type Bytes, endedColumns, endedNumbers, type EndedNumbers } from "../jobs/job-rows.ts";
import { substituteEnding } from "../jobs/stored-jobs.ts";
import { textOfId } from "../thread/columns.ts";
import type { Sql } from "../thread/connection.ts";
import type { Verbs } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";

type Row = [...EndedNumbers, ending: Bytes, id: Bytes | null, task: number | null];
const checksumAt = endedColumns.length;

/** Reads and acknowledges the results of channels. */
export function createResults(sql: Sql, { channels, damage, names, resultCache }: Tables) {
  const after = sql<Row>`
    SELECT ${endedNumbers}, ending, id, task FROM ended INDEXED BY ended_position
    WHERE channel = ? AND cursor > ? ORDER BY cursor LIMIT ? + 0`;
  const ofJob = sql<[id: Bytes, task: number, submittedAt: number, channel: number]>`
    SELECT id, task, submitted_at, channel FROM job WHERE seq = ?`;

  /**
   * The ending to deliver for a row; if it is damaged or another job's, a substitute. Undefined: none can be delivered.
   */
  function deliverable(row: Row): Uint8Array | undefined {
    const [ending, formerId, formerTask] = row.slice(checksumAt + 1) as [Bytes, Bytes | null, number | null];
    const isWhole = isSound(ending);
    const isRight = areRight(row, 0, endedColumns) && isBound(row[checksumAt], ending, formerId ?? undefined);
    if (isWhole && isRight) return ending;
    const [seq, , , channel, , , attempts, , crashes, redrives, , , finishedAt] = row;
    const found = formerId ? ([formerId, formerTask!, finishedAt, channel] as const) : ofJob.get(seq);
    if (!found) return void damage.found("output", `number ${seq}`);
    const [id, task, submittedAt, jobsChannel] = found;
    const job = { id: textOfId(id), task: names.text(task), submittedAt };
    if (isWhole && jobsChannel === channel && readEnding(ending).id === job.id) return ending;
    return substituteEnding(job, { attempts, crashes, redrives, finishedAt }, damage.found("output", job.id));
  }

  /** Reads row by row, because a row beyond `maxBytes` may have the size of the largest output. */
  function readRows(channel: number, from: number, limit: number, maxBytes: number) {
    const found = { cursors: [] as number[], endings: [] as Uint8Array[], sizes: [] as number[] };
    let total = 0;
    for (const row of after.iterate(channel, from, limit)) {
      total += (row[checksumAt + 1] as Bytes).length;
      if (found.endings.length > 0 && total > maxBytes) break;
      const ending = deliverable(row);
      if (!ending) continue;
      found.cursors.push(row[4]);
      found.endings.push(ending);
      found.sizes.push(ending.length);
    }
    return found;
  }

  /** The channel; an empty name has none, because discarded results are not read. */
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

  return {
    results: ({ client, channel: name, afterCursor, limit, maxBytes }, _, output) => {
      const channel = channelOf(client, name);
      const { last, acked } = channel ?? { last: 0, acked: 0 };
      const from = Math.max(afterCursor, acked);
      const answer = { cursors: [], endingBytes: [], lastCursor: last, ackedCursor: acked };
      if (!channel || limit === 0 || from >= last) return answer;
      const read = resultCache.take(channel, from, limit, maxBytes) ?? readRows(channel.id, from, limit, maxBytes);
      output.push(...read.endings);
      return { ...answer, cursors: read.cursors, endingBytes: read.sizes };
    },
    ack: (requests) => requests.map(ackOne),
  } satisfies Partial<Verbs>;
}
