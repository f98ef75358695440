import { readEnding, states } from "../../../job/ending.ts";
import { isSound } from "../../../job/wire.ts";
import { areRight, bindingOf, type Cell, checksumWith, wrongChecksum } from "../integrity/checked-rows.ts";
import { type Bytes, endedColumns, type EndedNumbers } from "../jobs/job-rows.ts";
import type { Sql } from "../thread/connection.ts";
import { SUCCEEDED } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";

export type DetachResult = ReturnType<typeof createDetachResult>;

/** Detaches results from jobs that are removed or redriven. */
export function createDetachResult(sql: Sql, tables: Tables) {
  const { bytesOf, channels, counters, history, ownersOf, resultCache } = tables;
  const find = sql<[ending: Bytes, id: Bytes, task: number]>`
    SELECT ending, job.id, job.task FROM ended CROSS JOIN job ON job.seq = ended.seq WHERE ended.seq = ?`;
  const lowest = sql<[number]>`SELECT min(seq) FROM ended`;
  const keep = sql`UPDATE ended SET seq = ?, checksum = ?, id = ?, task = ? WHERE seq = ?`;
  const eraseEnded = sql`DELETE FROM ended WHERE seq = ?`;
  const eraseJob = sql`DELETE FROM job WHERE seq = ?`;

  /** The owners of a result and how it was counted, even if its row is damaged. Undefined: its job does not exist. */
  function originOf(row: EndedNumbers) {
    const [seq, client, pool, , , state] = row;
    if (areRight(row, 0, endedColumns)) return { client, pool, state, bytes: row[14] };
    const [ending] = find.get(seq) ?? [];
    if (!ending) return undefined;
    const counted = isSound(ending) ? states.indexOf(readEnding(ending).state) : state;
    return { ...ownersOf(seq), state: counted, bytes: bytesOf(seq) + ending.length };
  }

  /** Keeps a result without its job, under a negative number. */
  function keepResult(row: EndedNumbers): void {
    const [seq] = row;
    const found = find.get(seq);
    if (!found) return void eraseEnded.run(seq); // its job is missing because of damage
    const [ending, id, task] = found;
    const number = Math.min(lowest.get()![0], 0) - 1;
    const numbers = [number, ...row.slice(1, -1)] as Cell[];
    const sum = areRight(row, 0, endedColumns) ? checksumWith(numbers, bindingOf(ending, id)) : wrongChecksum;
    keep.run(number, sum, id, task, seq);
  }

  function detach(row: EndedNumbers, keepsUnread = true): void {
    const [seq, , , channelId, cursor] = row;
    const origin = originOf(row);
    const channel = origin && channels.known(channelId, origin.client); // if damaged, only the row had its position
    if (keepsUnread && channel && cursor > channel.acked) keepResult(row);
    else eraseEnded.run(seq);
    if (channel) channels.invalidateHead(channel, cursor);
    if (origin) counters.add(origin.pool, origin.state, -1, -origin.bytes);
  }

  function removeJob(row: EndedNumbers, keepsUnread = true): void {
    const [seq, , , , , state, , fence] = row;
    detach(row, keepsUnread);
    eraseJob.run(seq);
    // a job that succeeded at its first attempt has none
    if (fence > 1 || state !== SUCCEEDED) history.erase(seq);
  }

  return {
    /** Detaches a final job from its result, which stays in the channel until it is acknowledged. */
    detach,
    /** The same, and removes the job. */
    removeJob,
    /** Removes the first result of a channel, and its job if there is one. */
    removeResult: (row: EndedNumbers): void => {
      const [seq, , , channel] = row;
      resultCache.forget(channel);
      if (seq > 0) removeJob(row, false);
      else eraseEnded.run(seq);
    },
  };
}
