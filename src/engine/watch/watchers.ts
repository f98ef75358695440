/** Notifies the watches of single jobs of what happens to them, and keeps the last lines that running jobs wrote. */
import type { Clock } from "../../clock.ts";
import { refusal } from "../../errors.ts";
import type { Progress } from "../../pool/pool.ts";
import { createJobWatch, type JobWatch, type LogLine, type WatchQueue } from "./job-watch.ts";
import { createLogLines } from "./log-lines.ts";

export type { JobUpdate, JobWatch, LogLine } from "./job-watch.ts";

/** A job, by its client too: nothing of one client's jobs reaches another. */
export type Watched = { readonly client: string; readonly id: string };

export type Watchers = {
  /**
   * Follows a job, which need not exist yet. Lines with a higher number than `afterEvent` that are still there come
   * first, behind the `changed`. Throws `too_many_watches`.
   */
  open(client: string, id: string, afterEvent: number): JobWatch;
  /** Whether any job is watched: while none is, callers need not collect what changed. */
  isWatched(): boolean;
  /** The states of these jobs may have changed. May come too often. */
  changed(jobs: readonly Watched[]): void;
  progress(job: Watched, progress: Progress): void;
  log(job: Watched, line: LogLine): void;
  /** Every watch ends once it has handed out what it holds, those too that are opened from now on. */
  closeAll(): void;
};

/** `maxPerClient`: bound on the watches that one client has open. */
export function createWatchers(clock: Clock, maxPerClient: number): Watchers {
  const lines = createLogLines();
  const watches = new Map<string, Set<WatchQueue>>();
  const openByClient = new Map<string, number>();
  let isClosing = false;
  /** Of the newest update. A process makes fewer than a thousand a millisecond, so the next one starts above them. */
  let event = clock.now() * 1_000;

  function count(client: string, change: number): void {
    const open = (openByClient.get(client) ?? 0) + change;
    if (open > 0) openByClient.set(client, open);
    else openByClient.delete(client);
  }

  function notify(job: Watched, update: (queue: WatchQueue, event: number) => void): void {
    event += 1;
    for (const queue of watches.get(keyOf(job)) ?? []) update(queue, event);
  }

  return {
    open(client, id, afterEvent) {
      if ((openByClient.get(client) ?? 0) >= maxPerClient) {
        throw refusal("too_many_watches", [client, maxPerClient], { retryAfterMs: 1_000 });
      }
      const key = keyOf({ client, id });
      const queues = watches.get(key) ?? new Set<WatchQueue>();
      const kept = lines.after(key, afterEvent);
      const queue = createJobWatch({
        kept,
        // below that of every line that follows, so that who resumes behind it misses none
        firstEvent: (kept[0]?.event ?? Math.max(event, afterEvent) + 1) - 1,
        onClose() {
          queues.delete(queue);
          if (queues.size === 0 && watches.get(key) === queues) watches.delete(key);
          count(client, -1);
        },
      });
      if (isClosing) queue.finish();
      watches.set(key, queues.add(queue));
      count(client, 1);
      return { next: queue.next, finish: queue.finish, close: queue.close };
    },
    isWatched: () => watches.size > 0,
    changed(jobs) {
      if (watches.size === 0) return;
      for (const job of jobs) notify(job, (queue, event) => queue.changed(event));
    },
    progress: (job, progress) => notify(job, (queue, event) => queue.push({ kind: "progress", event, progress })),
    log(job, line) {
      notify(job, (queue, event) => queue.push({ kind: "log", event, line }));
      lines.add(keyOf(job), { kind: "log", event, line });
    },
    closeAll() {
      isClosing = true;
      for (const queues of watches.values()) for (const queue of queues) queue.finish();
    },
  };
}

const keyOf = ({ client, id }: Watched) => `${client} ${id}`;
