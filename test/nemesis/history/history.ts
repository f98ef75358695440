/** A run's events, sorted by what they are about: what the invariants are asked over. */
import type { Event, Intent, Past, ResultEvent, StoreFacts } from "./event.ts";

/** One execution as the task wrote it. */
export type Run = {
  readonly run: string;
  readonly attempt: number;
  readonly pid: number;
  readonly thread: number;
  readonly beganAt: number;
  /** Null: it never came to its end, and nobody knows how long it went on. */
  finishedAt: number | null;
};

export type JobHistory = {
  readonly id: string;
  /** Undefined: nobody submitted it. */
  intent: Intent | undefined;
  client: string | undefined;
  /** How often it was sent. */
  sends: number;
  readonly accepted: { readonly at: number; readonly as: string }[];
  readonly refusals: { readonly at: number; readonly reason: string }[];
  /** In the order in which they were delivered, repetitions included. */
  readonly results: ResultEvent[];
  /** In the order in which they began. */
  readonly runs: Run[];
  readonly cancels: { readonly at: number; readonly says: string | null }[];
  readonly redrivenAt: number[];
  deadLetter: { readonly at: number; readonly attempts: number; readonly history: readonly Past[] } | undefined;
};

export type StreamHistory = { readonly openedAt: number; readonly after: number; readonly results: ResultEvent[] };

export type ChannelHistory = {
  readonly client: string;
  readonly name: string;
  readonly streams: Map<string, StreamHistory>;
  /** What the server said is acknowledged, in the order of time. */
  readonly acked: { readonly at: number; readonly cursor: number }[];
  /** The highest position that its client ever asked to acknowledge, answered or not. */
  asked: number;
};

export type History = {
  readonly events: readonly Event[];
  readonly jobs: ReadonlyMap<string, JobHistory>;
  readonly channels: ReadonlyMap<string, ChannelHistory>;
  /** When something happened by which attempts may be lost before they write a line: a process or a thread ended. */
  readonly upsets: readonly number[];
  /** When a server ended as it was asked to: only then may an attempt that began be handed back uncounted. */
  readonly stops: readonly number[];
  /** When a server ended, however. */
  readonly ends: readonly number[];
  /** When a job ended its own thread, by process and thread: what its neighbours there had done may not have been heard. */
  readonly threadDeaths: ReadonlyMap<string, readonly number[]>;
  readonly atRest: { readonly queued: number; readonly running: number } | undefined;
  readonly store: StoreFacts | undefined;
};

/** Names a thread for `threadDeaths`. */
export const threadOf = ({ pid, thread }: Pick<Run, "pid" | "thread">) => `${pid} ${thread}`;

/** Sorts events, which must be in the order of their times, by job and by channel. */
export function toHistory(events: readonly Event[]): History {
  const jobs = new Map<string, JobHistory>();
  const channels = new Map<string, ChannelHistory>();
  const runs = new Map<string, Run>();
  const upsets: number[] = [];
  const stops: number[] = [];
  const ends: number[] = [];
  const threadDeaths = new Map<string, number[]>();
  let atRest: History["atRest"];
  let store: StoreFacts | undefined;

  const jobOf = (id: string): JobHistory => {
    let job = jobs.get(id);
    if (!job) jobs.set(id, (job = newJob(id)));
    return job;
  };
  const channelOf = (client: string, name: string): ChannelHistory => {
    const key = `${client} ${name}`;
    let channel = channels.get(key);
    if (!channel) channels.set(key, (channel = { client, name, streams: new Map(), acked: [], asked: 0 }));
    return channel;
  };

  for (const event of events) {
    switch (event.kind) {
      case "submit": {
        const job = jobOf(event.job.id);
        job.intent = event.job;
        job.client = event.client;
        job.sends += 1;
        break;
      }
      case "again":
        jobOf(event.id).sends += 1;
        break;
      case "accepted":
        jobOf(event.id).accepted.push(event);
        break;
      case "refused":
        jobOf(event.id).refusals.push(event);
        break;
      case "open": {
        const { streams } = channelOf(event.client, event.channel);
        streams.set(event.stream, { openedAt: event.at, after: event.after, results: [] });
        break;
      }
      case "result":
        jobOf(event.id).results.push(event);
        channelOf(event.client, event.channel).streams.get(event.stream)?.results.push(event);
        break;
      case "ack": {
        const channel = channelOf(event.client, event.channel);
        channel.asked = Math.max(channel.asked, event.cursor);
        break;
      }
      case "acked":
        channelOf(event.client, event.channel).acked.push(event);
        break;
      case "cancel":
        jobOf(event.id).cancels.push({ at: event.at, says: null });
        break;
      case "cancel-answered":
        jobOf(event.id).cancels.push(event);
        break;
      case "redrive":
        jobOf(event.id).redrivenAt.push(event.at);
        break;
      case "dead-letter":
        jobOf(event.id).deadLetter = event;
        break;
      case "at-rest":
        atRest = event;
        break;
      case "began": {
        const { id, run, attempt, pid, thread, at } = event;
        const began: Run = { run, attempt, pid, thread, beganAt: at, finishedAt: null };
        runs.set(run, began);
        jobOf(id).runs.push(began);
        break;
      }
      case "finished": {
        const run = runs.get(event.run);
        if (run) run.finishedAt = event.at;
        break;
      }
      case "murders": {
        const murderer = runs.get(event.run);
        if (!murderer || event.how === "segfault") break; // that ends the process
        const thread = threadOf(murderer);
        const deaths = threadDeaths.get(thread);
        if (deaths) deaths.push(event.at);
        else threadDeaths.set(thread, [event.at]);
        break;
      }
      case "ended":
        upsets.push(event.at);
        ends.push(event.at);
        if (event.how === "stopped") stops.push(event.at);
        break;
      case "fault":
        if (event.hurtsWorkers) upsets.push(event.at);
        break;
      case "store":
        store = event;
        break;
    }
  }
  for (const run of runs.values()) if (run.finishedAt === null) upsets.push(run.beganAt);
  upsets.sort((one, other) => one - other);
  return { events, jobs, channels, upsets, stops, ends, threadDeaths, atRest, store };
}

function newJob(id: string): JobHistory {
  return {
    id,
    ...{ intent: undefined, client: undefined, sends: 0, deadLetter: undefined },
    ...{ accepted: [], refusals: [], results: [], runs: [], cancels: [], redrivenAt: [] },
  };
}
