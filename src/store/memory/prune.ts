import type { PruneRequest, Room } from "../store.ts";
import { acknowledge } from "./channel.ts";
import { bytesOf, type Channel, type Entry, type Held } from "./job.ts";

type Kept = {
  /** In the order of their creation. */
  channels(): readonly Channel[];
  jobs(): readonly Held[];
  /** Removes a job; its result stays in the channel until it is acknowledged. */
  forget(job: Held): void;
};

/** Removes what retention allows: what is too old, then what exceeds the bounds. Returns the number of removed jobs. */
export function prune(kept: Kept, request: PruneRequest): number {
  const steps = [removeOld, removeOldDead, removeFinished, removeDead];
  let removed = 0;
  for (const step of steps) while (removed < request.limit && step(kept, request)) removed += 1;
  return removed;
}

/** Removes one job or result; false: there is none to remove. */
type Step = (kept: Kept, request: PruneRequest) => boolean;

const removeOld: Step = (kept, request) => {
  for (const channel of kept.channels()) {
    const head = headOf(channel);
    if (!head || head.finishedAt >= deadlineOf(head, channel, request)) continue;
    drop(kept, channel, head);
    return true;
  }
  return false;
};

const removeOldDead: Step = (kept, { deadBefore }) => {
  const oldest = oldestDead(kept, ({ inChannel, cursor }) => cursor! <= inChannel.acked);
  if (!oldest || oldest.finishedAt! >= deadBefore) return false;
  kept.forget(oldest);
  return true;
};

/** Over the bound on finished jobs, removes from the channel with the oldest first result. */
const removeFinished: Step = (kept, { maxFinished }) => {
  const isFinished = ({ state }: Held) => state === "SUCCEEDED" || state === "CANCELLED";
  if (!isOver(kept.jobs().filter(isFinished), maxFinished)) return false;
  const heads = kept.channels().flatMap((channel) => {
    const head = headOf(channel);
    return head ? [{ channel, head }] : [];
  });
  heads.sort((a, b) => a.head.finishedAt - b.head.finishedAt);
  const first = heads.find(({ head }) => head.job && isFinished(head.job)) ?? heads[0];
  if (!first) return false;
  const { channel, head } = first;
  // nothing behind it may be removed while it is unread; a DEAD job only loses its place in the channel
  if (head.job?.state === "DEAD") acknowledge(channel, head.cursor);
  else drop(kept, channel, head);
  return true;
};

const removeDead: Step = (kept, { maxDead }) => {
  const dead = kept.jobs().filter(({ state }) => state === "DEAD");
  if (!isOver(dead, maxDead)) return false;
  kept.forget(oldestDead(kept, () => true)!);
  return true;
};

/** The channel's first entry that keeps those after it, unlike DEAD jobs whose result is acknowledged. */
function headOf({ acked, entries }: Channel): Entry | undefined {
  return entries.find(({ job, cursor }) => !(job?.state === "DEAD" && cursor <= acked));
}

function deadlineOf({ job, cursor }: Entry, { acked }: Channel, request: PruneRequest): number {
  if (job?.state === "DEAD") return request.deadBefore;
  return cursor <= acked ? request.acknowledgedBefore : request.unacknowledgedBefore;
}

function drop(kept: Kept, channel: Channel, entry: Entry): void {
  channel.entries = channel.entries.filter((one) => one !== entry);
  if (entry.job) kept.forget(entry.job);
}

function oldestDead(kept: Kept, isMeant: (job: Held) => boolean): Held | undefined {
  return kept
    .jobs()
    .filter((job) => job.state === "DEAD" && isMeant(job))
    .sort((a, b) => a.finishedAt! - b.finishedAt! || a.seq - b.seq)[0];
}

function isOver(jobs: readonly Held[], room: Room): boolean {
  return jobs.length > room.jobs || jobs.reduce((sum, job) => sum + bytesOf(job), 0) > room.bytes;
}
