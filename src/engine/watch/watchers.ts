/** Notifies the watches of single jobs about updates, and keeps the latest log lines of running jobs. */
import { refusal } from "../../errors.ts";
import type { Progress } from "../../pool/pool.ts";
import type { JobGlance, JobName, Store } from "../../store/store.ts";
import { createPoller, type Polling } from "../poller.ts";
import { createJobWatch, type JobWatch, type LogLine, type WatchQueue } from "./job-watch.ts";
import { createLogLines } from "./log-lines.ts";

export type { JobUpdate, JobWatch, LogLine } from "./job-watch.ts";

export type WatcherParts = {
  readonly store: Pick<Store, "states">;
  readonly polling: Polling;
  /** Bound on the open watches of one client. */
  readonly maxPerClient: number;
};

/** An open watch; `seen`: the state that its reader has read, or will read with the queued updates. */
type Watch = JobName & { readonly queue: WatchQueue; seen: string | undefined };

export type Watchers = {
  /**
   * Follows a job, which need not exist yet. Kept log lines after `afterEvent` come first, behind the `changed`. Throws
   * `too_many_watches`.
   */
  open(client: string, id: string, afterEvent: number): JobWatch;
  /** The states of these jobs may have changed. Hints may be superfluous or missing: watched jobs are also polled. */
  changed(jobs: readonly JobName[]): void;
  progress(job: JobName, progress: Progress): void;
  log(job: JobName, line: LogLine): void;
  /** Every watch, also one opened later, ends after its queued updates. */
  closeAll(): void;
};

export function createWatchers({ store, polling, maxPerClient }: WatcherParts): Watchers {
  const lines = createLogLines();
  const poller = createPoller<Watch>(polling, poll);
  const watches = new Map<string, Set<WatchQueue>>();
  const openByClient = new Map<string, number>();
  let isClosing = false;
  /**
   * The `event` of the newest update. Fewer than a thousand happen per millisecond, so a restarted server starts above
   * them.
   */
  let event = polling.clock.now() * 1_000;

  function count(client: string, change: number): void {
    const open = (openByClient.get(client) ?? 0) + change;
    if (open > 0) openByClient.set(client, open);
    else openByClient.delete(client);
  }

  function notify(job: JobName, update: (queue: WatchQueue, event: number) => void): void {
    event += 1;
    for (const queue of watches.get(keyOf(job)) ?? []) update(queue, event);
  }

  async function poll(due: readonly Watch[]): Promise<void> {
    const states = await store.states(due.map(({ client, id }) => ({ client, id }))).catch(() => undefined);
    if (!states) return; // while the store is unavailable there are no updates; when it has failed, the server ends
    for (const [index, watch] of due.entries()) {
      const fingerprint = fingerprintOf(states[index] ?? null);
      if (watch.seen === fingerprint) continue;
      watch.seen = fingerprint;
      event += 1;
      watch.queue.changed(event);
    }
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
        // below those of all lines that follow, so that a client that resumes from it misses none
        firstEvent: (kept[0]?.event ?? Math.max(event, afterEvent) + 1) - 1,
        onClose() {
          poller.delete(watch);
          queues.delete(queue);
          if (queues.size === 0 && watches.get(key) === queues) watches.delete(key);
          count(client, -1);
        },
      });
      const watch: Watch = { client, id, queue, seen: undefined };
      if (isClosing) queue.finish();
      watches.set(key, queues.add(queue));
      poller.add(watch);
      count(client, 1);
      return {
        ...{ next: queue.next, finish: queue.finish, close: queue.close },
        saw(fingerprint) {
          watch.seen = fingerprint;
        },
      };
    },
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

/** A fingerprint of the state of a job: two reads with equal ones have read the same state. */
export function fingerprintOf(glance: JobGlance | null): string {
  if (!glance) return "";
  const { state, attempts, isCancelling, redrives, runAt } = glance;
  return [state, attempts, isCancelling, redrives, runAt].join();
}

const keyOf = ({ client, id }: JobName) => `${client} ${id}`;
