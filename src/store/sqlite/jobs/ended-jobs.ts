import type { DatabaseSync } from "node:sqlite";
import type { Channel, Channels } from "../channels/channels.ts";
import type { ResultCache } from "../channels/result-cache.ts";
import { bindingOf, createRowWriter } from "../integrity/checked-rows.ts";
import type { Counters } from "./counters.ts";
import { endedColumns } from "./job-rows.ts";
import type { RunningJob } from "./leases.ts";

/** What a job's last row is made of. `bytes`: kept of it without its result. */
export type EndedJob = Pick<
  RunningJob,
  "seq" | "client" | "pool" | "channel" | "fence" | "crashes" | "redrives" | "runAt" | "startedAt" | "bytes"
> & {
  readonly attempts: number;
  /** Its number in `states`. */
  readonly state: number;
  readonly finishedAt: number;
  readonly deadReason: number | null;
};

export function createEndedJobs(db: DatabaseSync, channels: Channels, resultCache: ResultCache, counters: Counters) {
  const rows = createRowWriter(db, "INSERT INTO ended", endedColumns, ["ending"]);
  return {
    /** Makes a job final, with a result in its channel; written by `flush`. Counts it in its new state. */
    add: (job: EndedJob, ending: Uint8Array): Channel => {
      const { seq, client, pool, state, attempts, fence, crashes, redrives, runAt, startedAt, finishedAt } = job;
      const channel = channels.ofJob(job.channel, client);
      const bytes = job.bytes + ending.length;
      const cursor = channels.append(channel, state, finishedAt);
      // biome-ignore format: one line per kind of column
      rows.add([seq, client, pool, channel.id, cursor, state, attempts, fence, crashes, redrives, runAt, startedAt, finishedAt,
          job.deadReason, bytes], [ending], bindingOf(ending));
      resultCache.add(channel, ending);
      counters.add(pool, state, 1);
      counters.addBytes(state, bytes);
      return channel;
    },
    flush: rows.flush,
  };
}
