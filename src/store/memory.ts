import { refusal } from "../errors.ts";
import { isFinal, type JobState, type Lease, type NewJob, type Payload, type StoredJob } from "../job/job.ts";
import type { PoolCounts, PruneRequest, Store, Submitted } from "./store.ts";

type Held = Omit<NewJob, "runAt"> & {
  readonly seq: number;
  readonly inChannel: Channel;
  state: JobState;
  attempt: number;
  fence: number;
  crashes: number;
  runAt: number;
  owner: string;
  startedAt: number | null;
  finishedAt: number | null;
  output: Payload | null;
  failure: StoredJob["failure"];
  cursor: number | null;
};
type Channel = { last: number; acked: number /** In the order of their cursors. */; results: Held[] };

/**
 * A store that forgets everything when the process ends: for unit tests, and the reference that other drivers are
 * compared with. Every call looks at every job, so it is for thousands of jobs, not for millions.
 */
export function createMemoryStore(): Store {
  const jobs = new Map<string, Held>();
  const channels = new Map<string, Channel>();
  const pools = new Set<string>();
  let lastSeq = 0;
  let closed = false;

  const inOrder = () => [...jobs.values()];
  const queuedIn = (pool: string) =>
    inOrder()
      .filter((job) => job.pool === pool && job.state === "QUEUED")
      .sort((a, b) => a.runAt - b.runAt || a.seq - b.seq);

  const keyOf = (client: string, name: string) => JSON.stringify([client, name]);
  const look = (client: string, name: string) => channels.get(keyOf(client, name)) ?? emptyChannel();

  function channelOf(client: string, name: string): Channel {
    const channel = look(client, name);
    channels.set(keyOf(client, name), channel);
    return channel;
  }

  function add(job: NewJob): Submitted {
    const inChannel = channelOf(job.client, job.channel);
    const known = jobs.get(job.id);
    if (known) return compare(known, job);
    pools.add(job.pool);
    jobs.set(job.id, {
      ...job,
      input: copyOf(job.input),
      seq: ++lastSeq,
      inChannel,
      state: "QUEUED",
      attempt: 0,
      fence: 0,
      crashes: 0,
      owner: "",
      startedAt: null,
      finishedAt: null,
      output: null,
      failure: null,
      cursor: null,
    });
    return { kind: "accepted" };
  }

  function removable(request: PruneRequest): Held[] {
    const found: Held[] = [];
    for (const { acked, results } of channels.values()) {
      for (const job of results) {
        const isAcked = job.cursor! <= acked;
        if (job.state === "DEAD" && isAcked) continue;
        const before = isAcked ? request.acknowledgedBefore : request.unacknowledgedBefore;
        if (job.finishedAt! >= (job.state === "DEAD" ? request.deadBefore : before)) break;
        found.push(job);
      }
    }
    const dead = inOrder()
      .filter((job) => job.state === "DEAD" && job.cursor! <= job.inChannel.acked)
      .filter((job) => job.finishedAt! < request.deadBefore)
      .sort((a, b) => a.finishedAt! - b.finishedAt! || a.seq - b.seq);
    return [...found, ...dead].slice(0, request.limit);
  }

  const verbs: { [K in keyof Store]: (...args: Parameters<Store[K]>) => Awaited<ReturnType<Store[K]>> } = {
    submit: (added) => added.map(add),

    lease: ({ pool, limit, now, owner }) => {
      const queued = queuedIn(pool);
      const due = queued.filter((job) => job.runAt <= now).slice(0, limit);
      for (const job of due) {
        job.state = "RUNNING";
        job.attempt += 1;
        job.fence += 1;
        job.owner = owner;
        job.startedAt = now;
      }
      return { leases: due.map(toLease), nextDueAt: due.length < limit ? (queued[due.length]?.runAt ?? null) : null };
    },

    settle: (settlements) => {
      const bySeq = new Map(inOrder().map((job) => [job.seq, job]));
      return settlements.map((settlement) => {
        const { seq, fence, state, attempt, crashes, runAt, failure, startedAt } = settlement;
        const job = bySeq.get(seq);
        if (job?.state !== "RUNNING" || job.fence !== fence) return false;
        Object.assign(job, { state, attempt, crashes, runAt, failure, startedAt });
        if (isFinal(state)) {
          job.finishedAt = settlement.finishedAt;
          job.output = copyOf(settlement.output);
          job.cursor = ++job.inChannel.last;
          job.inChannel.results.push(job);
        }
        return true;
      });
    },

    expired: ({ owner, limit }) =>
      inOrder()
        .filter((job) => job.state === "RUNNING" && job.owner !== owner)
        .slice(0, limit)
        .map(toLease),

    get: ({ client, id }) => {
      const job = jobs.get(id);
      return job?.client === client ? { ...toStored(job), output: copyOf(job.output) } : null;
    },

    list: ({ client, limit, beforeSeq, state, task, channel }) =>
      inOrder()
        .filter((job) => job.client === client && job.seq < (beforeSeq ?? Infinity))
        .filter((job) => job.state === (state ?? job.state) && job.task === (task ?? job.task))
        .filter((job) => job.channel === (channel ?? job.channel))
        .reverse()
        .slice(0, limit)
        .map(toStored),

    results: ({ client, channel, afterCursor, limit, maxBytes }) => {
      const { acked, last, results } = look(client, channel);
      let bytes = 0;
      const waiting = results.filter((job) => job.cursor! > Math.max(afterCursor, acked)).slice(0, limit);
      const tooMany = waiting.findIndex((job, index) => {
        bytes += (job.output?.bytes.length ?? 0) + (job.failure ? Buffer.byteLength(JSON.stringify(job.failure)) : 0);
        return index > 0 && bytes > maxBytes;
      });
      return { results: waiting.slice(0, tooMany < 0 ? limit : tooMany).map(toResult), lastCursor: last };
    },

    ack: (requests) =>
      requests.map(({ client, channel: name, cursor }) => {
        const channel = look(client, name);
        if (cursor > channel.last) return { kind: "out_of_range", lastCursor: channel.last };
        channel.acked = Math.max(channel.acked, cursor);
        return { kind: "acknowledged", cursor: channel.acked };
      }),

    prune: (request) => {
      const gone = removable(request);
      for (const job of gone) {
        jobs.delete(job.id);
        job.inChannel.results.splice(job.inChannel.results.indexOf(job), 1);
      }
      return gone.length;
    },

    counts: () => ({
      pools: [...pools].map((pool) => {
        const counts: Record<JobState, number> = { QUEUED: 0, RUNNING: 0, SUCCEEDED: 0, DEAD: 0, CANCELLED: 0 };
        for (const job of jobs.values()) if (job.pool === pool) counts[job.state] += 1;
        return { pool, ...counts } satisfies PoolCounts;
      }),
    }),

    oldestDue: ({ pools: asked, now }) =>
      asked.map((pool) => {
        const oldest = queuedIn(pool)[0];
        return oldest && oldest.runAt <= now ? oldest.runAt : null;
      }),

    close: () => {
      closed = true;
    },
  };

  const call = <K extends keyof Store>(verb: K) =>
    (async (...args: Parameters<Store[K]>) => {
      if (closed && verb !== "close") throw refusal("store_failed", ["it was closed"]);
      return verbs[verb](...args);
    }) as Store[K];

  return {
    submit: call("submit"),
    lease: call("lease"),
    settle: call("settle"),
    expired: call("expired"),
    get: call("get"),
    list: call("list"),
    results: call("results"),
    ack: call("ack"),
    prune: call("prune"),
    counts: call("counts"),
    oldestDue: call("oldestDue"),
    close: call("close"),
  };
}

function emptyChannel(): Channel {
  return { last: 0, acked: 0, results: [] };
}

function compare(known: Held, job: NewJob): Submitted {
  if (known.client !== job.client) return { kind: "taken" };
  const differs: string[] = [];
  if (known.task !== job.task) differs.push("task");
  if (known.channel !== job.channel) differs.push("channel");
  if (!samePayload(known.input, job.input)) differs.push("input");
  return differs.length === 0 ? { kind: "duplicate", cursor: known.cursor } : { kind: "conflict", differs };
}

function samePayload(a: Payload | null, b: Payload | null): boolean {
  if (a === null || b === null) return a === b;
  return a.kind === b.kind && a.type === b.type && Buffer.compare(a.bytes, b.bytes) === 0;
}

/** Nobody shares bytes with the store: a caller may hand its own to another thread, which empties them here. */
function copyOf(payload: Payload | null): Payload | null {
  return payload && { ...payload, bytes: new Uint8Array(payload.bytes) };
}

function toLease(job: Held): Lease {
  const { id, client, task, pool, channel, input, maxAttempts, runAt, submittedAt, trace } = job;
  const { seq, attempt, fence, crashes } = job;
  const described = { id, client, task, pool, channel, input: copyOf(input), maxAttempts, runAt, submittedAt, trace };
  return { ...described, seq, attempt, fence, crashes };
}

function toStored(job: Held): StoredJob {
  const { seq, id, client, task, pool, channel, state, attempt, maxAttempts, submittedAt, runAt } = job;
  const { startedAt, finishedAt, failure, cursor } = job;
  const described = { seq, id, client, task, pool, channel, state, attempts: attempt, maxAttempts, submittedAt, runAt };
  return { ...described, startedAt, finishedAt, output: null, failure, cursor };
}

function toResult(job: Held) {
  const { id, task, state, failure, attempt, submittedAt, startedAt, finishedAt, cursor } = job;
  if (!isFinal(state)) throw new Error(`job ${id} is ${state} and cannot have a result`);
  const times = { submittedAt, startedAt, finishedAt: finishedAt! };
  return { cursor: cursor!, id, task, state, output: copyOf(job.output), failure, attempts: attempt, ...times };
}
