import type { StoredResult } from "../../job/job.ts";
import type { Acked, Results, ResultsRequest } from "../store.ts";
import { type Channel, type Held, toResult } from "./job.ts";

export function createChannel(name: string | null): Channel {
  return { name, last: 0, acked: 0, entries: [] };
}

/** Makes a job final, with its result at the end of its channel. */
export function append(job: Held, ending: Uint8Array, finishedAt: number): void {
  const channel = job.inChannel;
  const cursor = ++channel.last;
  Object.assign(job, { ending, finishedAt, cursor });
  channel.entries.push({ ending, finishedAt, cursor, job });
  if (channel.name === null) channel.acked = channel.last;
}

/** Detaches the job from its result, which is removed, too, unless it is not acknowledged. */
export function detach(job: Held): void {
  const channel = job.inChannel;
  const entry = channel.entries.find((one) => one.job === job);
  if (entry) entry.job = null;
  dropRead(channel);
}

/** Acknowledges everything up to a position. */
export function acknowledge(channel: Channel, cursor: number): void {
  channel.acked = Math.max(channel.acked, cursor);
  dropRead(channel);
}

/** Removes acknowledged results without a job, which nothing needs. */
function dropRead(channel: Channel): void {
  channel.entries = channel.entries.filter(({ job, cursor }) => job !== null || cursor > channel.acked);
}

export function read({ acked, last, entries }: Channel, { afterCursor, limit, maxBytes }: ResultsRequest): Results {
  const results: StoredResult[] = [];
  let bytes = 0;
  for (const entry of entries) {
    if (entry.cursor <= Math.max(afterCursor, acked)) continue;
    bytes += entry.ending.length;
    if (results.length === limit || (results.length > 0 && bytes > maxBytes)) break;
    results.push(toResult(entry));
  }
  return { results, lastCursor: last, ackedCursor: acked };
}

export function ackOne(channel: Channel, cursor: number): Acked {
  if (cursor > channel.last) return { kind: "out_of_range", lastCursor: channel.last };
  acknowledge(channel, cursor);
  return { kind: "acknowledged", cursor: channel.acked };
}
