import type { StoredResult } from "../../job/job.ts";
import type { Acked, Results, ResultsRequest } from "../store.ts";
import { type Channel, copyOf, failureBytes, type Held, toResult } from "./job.ts";

export function createChannel(name: string | null): Channel {
  return { name, last: 0, acked: 0, entries: [] };
}

/** Gives a job that became final its place. */
export function append(job: Held): void {
  const channel = job.inChannel;
  job.cursor = ++channel.last;
  channel.entries.push({ result: toResult(job), job });
  if (channel.name === null) channel.acked = channel.last;
}

/** Takes the job away from its result, which goes too unless it is still to be acknowledged. */
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

/** Results that were read and whose job is not there any more are of no use to anyone. */
function dropRead(channel: Channel): void {
  channel.entries = channel.entries.filter(({ job, result }) => job !== null || result.cursor > channel.acked);
}

export function read({ acked, last, entries }: Channel, { afterCursor, limit, maxBytes }: ResultsRequest): Results {
  const results: StoredResult[] = [];
  let bytes = 0;
  for (const { result } of entries) {
    if (result.cursor <= Math.max(afterCursor, acked)) continue;
    bytes += (result.output?.bytes.length ?? 0) + failureBytes(result.failure);
    if (results.length === limit || (results.length > 0 && bytes > maxBytes)) break;
    results.push({ ...result, output: copyOf(result.output) });
  }
  return { results, lastCursor: last, ackedCursor: acked };
}

export function ackOne(channel: Channel, cursor: number): Acked {
  if (cursor > channel.last) return { kind: "out_of_range", lastCursor: channel.last };
  acknowledge(channel, cursor);
  return { kind: "acknowledged", cursor: channel.acked };
}
