/**
 * The rows that attempts leave: progress of a job that waits again, the result of a final one, and a history of
 * failures.
 */
import { maxHistory } from "../../../job/job.ts";
import type { Channel, Channels } from "../channels/channels.ts";
import type { ResultCache } from "../channels/result-cache.ts";
import { bindingOf, createRowWriter } from "../integrity/checked-rows.ts";
import type { Sql } from "../thread/connection.ts";
import type { Counters } from "./counters.ts";
import { type Bytes, type Cells, endedColumns, progressColumns, type StoredState } from "./job-rows.ts";

/** The values of a final job's row. `bytes`: size of the job without its result. */
export type EndedJob = Pick<StoredState, "seq" | "client" | "pool" | "channel" | "state" | "attempts" | "fence"> &
  Pick<StoredState, "crashes" | "redrives" | "runAt" | "startedAt"> & {
    readonly finishedAt: number;
    readonly deadReason: number | null;
    readonly bytes: number;
  };

export function createProgress(sql: Sql) {
  const rows = createRowWriter(sql, "INSERT OR REPLACE INTO progress", progressColumns);
  const erase = sql`DELETE FROM progress WHERE seq = ?`;
  return {
    /** Adds a row, which `flush` writes. `isRight`: see `RunningJob`. */
    write: (numbers: Cells<typeof progressColumns>, isRight: boolean): void => rows.add(numbers, [], 0, isRight),
    /** Removes the progress of a job that has ended. */
    remove: (seq: number): void => void erase.run(seq),
    flush: rows.flush,
  };
}

export function createEndedJobs(sql: Sql, channels: Channels, resultCache: ResultCache, counters: Counters) {
  const rows = createRowWriter(sql, "INSERT INTO ended", endedColumns, ["ending"]);
  return {
    /** Makes a job final, with a result in its channel, which `flush` writes. Counts it in its new state. */
    add: (job: EndedJob, ending: Uint8Array): Channel => {
      const { seq, client, pool, state, attempts, fence, crashes, redrives, runAt, startedAt, finishedAt } = job;
      const channel = channels.ofJob(job.channel, client);
      const bytes = job.bytes + ending.length;
      const cursor = channels.append(channel, state, finishedAt);
      // biome-ignore format: one line per kind of column
      rows.add([seq, client, pool, channel.id, cursor, state, attempts, fence, crashes, redrives, runAt, startedAt, finishedAt,
          job.deadReason, bytes], [ending], bindingOf(ending));
      resultCache.add(channel, ending);
      counters.add(pool, state, 1, bytes);
      return channel;
    },
    flush: rows.flush,
  };
}

export type History = ReturnType<typeof createHistory>;

/** The attempts that did not succeed; a job that succeeds at its first attempt has none. */
export function createHistory(sql: Sql) {
  // REPLACE, because damage may lower a fence, which is then used again
  const insert = sql`INSERT OR REPLACE INTO past_attempt (seq, fence, ending) VALUES (?, ?, ?)`;
  const trim = sql<[bytes: number]>`
    DELETE FROM past_attempt WHERE seq = ?1 AND fence <=
      (SELECT fence FROM past_attempt WHERE seq = ?1 ORDER BY fence DESC LIMIT 1 OFFSET ${maxHistory})
    RETURNING octet_length(ending)`;
  const select = sql<[Bytes]>`SELECT ending FROM past_attempt WHERE seq = ? ORDER BY fence`;
  const last = sql<[Bytes]>`SELECT ending FROM past_attempt WHERE seq = ? ORDER BY fence DESC LIMIT 1`;
  const sum = sql<[number]>`SELECT coalesce(sum(octet_length(ending)), 0) FROM past_attempt WHERE seq = ?`;
  const erase = sql`DELETE FROM past_attempt WHERE seq = ?`;
  return {
    /** Adds an attempt, and removes the oldest beyond `maxHistory`; returns the change in bytes. */
    add: (seq: number, fence: number, ending: Uint8Array): number => {
      insert.run(seq, fence, ending);
      let bytes = ending.length;
      if (fence > maxHistory) for (const [gone] of trim.all(seq)) bytes -= gone;
      return bytes;
    },
    /** Oldest first. */
    of: (seq: number): Bytes[] => select.all(seq).map(([ending]) => ending),
    newest: (seq: number): Bytes | undefined => last.get(seq)?.[0],
    bytesOf: (seq: number): number => sum.get(seq)![0],
    erase: (seq: number): void => void erase.run(seq),
  };
}
