import { refusal } from "../errors.ts";
import {
  idempotencyMs,
  isFinal,
  isSuspect,
  type JobState,
  maxHistory,
  type NewJob,
  type Settlement,
} from "../job/job.ts";
import { withHints } from "./hints.ts";
import { ackOne, append, createChannel, detach, read } from "./memory/channel.ts";
import {
  type Channel,
  type Content,
  copyOf,
  cursorOf,
  differences,
  type Held,
  inTurn,
  toLease,
  toStored,
  toWhole,
} from "./memory/job.ts";
import { prune } from "./memory/prune.ts";
import type { Cancelled, CancelRequest, JobFilter, PoolCounts, Redriven, Removed, Settled } from "./store.ts";
import type { Store, StoreCalls, Submitted } from "./store.ts";

type Key = { readonly id: string; readonly submittedAt: number; readonly content: Content };

/**
 * A store that forgets everything when the process ends: for unit tests, and the reference that other drivers are
 * compared with. Every call looks at every job, so it is for thousands of jobs, not for millions. `isShared`: several engines
 * of this process use it.
 */
export function createMemoryStore({ isShared = false } = {}): Store {
  const jobs = new Map<string, Held>();
  const channels = new Map<string, Channel>();
  const keys = new Map<string, Key>();
  const pools = new Set<string>();
  let lastSeq = 0;
  let latestAt = 0;
  let closed = false;

  const heard = (at: number) => {
    latestAt = Math.max(latestAt, at);
  };
  const inOrder = () => [...jobs.values()].sort((a, b) => a.seq - b.seq);
  const queuedIn = (pool: string) => inOrder().filter((job) => job.pool === pool && job.state === "QUEUED");
  const keyOf = (client: string, name: string | null) => JSON.stringify([client, name]);
  const look = (client: string, name: string) => channels.get(keyOf(client, name)) ?? createChannel(name);
  const ofClient = (client: string, id: string) => {
    const job = jobs.get(id);
    return job?.client === client ? job : undefined;
  };

  function channelOf(client: string, name: string | null): Channel {
    const key = keyOf(client, name);
    const channel = channels.get(key) ?? createChannel(name);
    channels.set(key, channel);
    return channel;
  }

  function add(job: NewJob): Submitted {
    const known = jobs.get(job.id);
    if (known) return known.client === job.client ? compare(known.id, "id", known, job) : { kind: "taken" };
    const isLate = job.expiresAt !== null && job.expiresAt <= job.runAt;
    if (job.idempotencyKey !== null) {
      const key = keyOf(job.client, job.idempotencyKey);
      const used = keys.get(key);
      if (used && job.submittedAt < used.submittedAt + idempotencyMs) return compare(used.id, "key", used.content, job);
      if (!isLate)
        keys.set(key, { id: job.id, submittedAt: job.submittedAt, content: { ...job, input: copyOf(job.input) } });
    }
    if (isLate) return { kind: "late" };
    heard(job.submittedAt);
    pools.add(job.pool);
    jobs.set(job.id, {
      ...job,
      ...{ input: copyOf(job.input), seq: ++lastSeq, inChannel: channelOf(job.client, job.channel), state: "QUEUED" },
      ...{
        isCancelling: false,
        attempt: 0,
        fence: 0,
        crashes: 0,
        redrives: 0,
        owner: "",
        isOwnerGone: false,
        leaseUntil: 0,
      },
      ...{ startedAt: null, finishedAt: null, output: null, failure: null, deadReason: null, cursor: null },
      history: [],
    });
    return { kind: "accepted" };
  }

  function compare(id: string, by: "id" | "key", known: Content, job: NewJob): Submitted {
    const differs = differences(known, job);
    if (differs.length > 0) return { kind: "conflict", id, by, differs };
    const held = jobs.get(id);
    return { kind: "duplicate", id, cursor: held ? cursorOf(held) : null };
  }

  function settleOne(settlement: Settlement, job: Held | undefined): Settled {
    const { fence, outcome, state, deadReason, crashes, runAt, failure, finishedAt } = settlement;
    if (job?.state !== "RUNNING" || job.fence !== fence) return "stale";
    if (job.isCancelling && state !== "SUCCEEDED" && state !== "CANCELLED") return "cancelling";
    heard(finishedAt);
    // an attempt that is not counted leaves the start of the one before, if that was
    const leaves = settlement.attempt < job.attempt && settlement.attempt > 0;
    const startedAt = leaves ? (job.history.at(-1)?.startedAt ?? null) : settlement.startedAt;
    if (failure !== null && outcome !== "succeeded") {
      const past = { attempt: job.attempt, outcome, failure, startedAt: settlement.startedAt, finishedAt };
      job.history = [...job.history, past].slice(-maxHistory);
    }
    // a job that was given back still waits for what its last attempt failed with
    const isGivenBack = state === "QUEUED" && failure === null && settlement.attempt > 0;
    if (!isGivenBack) job.failure = failure;
    Object.assign(job, { state, deadReason, crashes, startedAt, isCancelling: false });
    if (state === "QUEUED") job.runAt = runAt;
    job.attempt = settlement.attempt;
    if (isFinal(state)) {
      job.finishedAt = finishedAt;
      job.output = copyOf(settlement.output);
      append(job);
    }
    return "written";
  }

  function cancelOne(job: Held | undefined, { now, failure }: CancelRequest): Cancelled {
    if (!job) return { kind: "not_found" };
    const { state, task, pool, seq, channel, trace, submittedAt, runAt, redrives, attempt: attempts } = job;
    if (isFinal(state)) return { kind: "final", state };
    if (state === "RUNNING") {
      job.isCancelling = true;
      return { kind: "cancelling", pool, seq };
    }
    Object.assign(job, { state: "CANCELLED", failure, finishedAt: now });
    append(job);
    return { kind: "cancelled", task, pool, channel, trace, submittedAt, runAt, attempts, redrives };
  }

  function redriveOne(job: Held | undefined, runAt: number): Redriven {
    if (!job) return { kind: "not_found" };
    if (job.state !== "DEAD") return { kind: "not_dead", state: job.state };
    detach(job);
    Object.assign(job, { state: "QUEUED", runAt, attempt: 0, crashes: 0, expiresAt: null, cursor: null });
    Object.assign(job, { startedAt: null, finishedAt: null, output: null, failure: null, deadReason: null });
    job.redrives += 1;
    return { kind: "redriven", pool: job.pool, trace: job.trace };
  }

  function removeOne(job: Held | undefined): Removed {
    if (!job) return { kind: "not_found" };
    if (!isFinal(job.state)) return { kind: "not_final", state: job.state };
    if (job.state === "SUCCEEDED" && job.cursor! > job.inChannel.acked) return { kind: "not_acknowledged" };
    forget(job);
    return { kind: "removed" };
  }

  function forget(job: Held): void {
    detach(job);
    jobs.delete(job.id);
  }

  const verbs: { [K in keyof StoreCalls]: (...args: Parameters<Store[K]>) => Awaited<ReturnType<Store[K]>> } = {
    submit: (added) => added.map(add),

    lease: ({ pool, limit, now, owner, leaseMs, onlyExpired = false, suspects = false }) => {
      heard(now);
      const queued = queuedIn(pool)
        .filter((job) => onlyExpired || isSuspect(job) === suspects)
        .sort(inTurn);
      const isMeant = (job: Held) => (onlyExpired ? job.expiresAt !== null && job.expiresAt <= now : job.runAt <= now);
      const due = queued.filter(isMeant);
      if (onlyExpired) due.sort((a, b) => a.expiresAt! - b.expiresAt! || a.seq - b.seq);
      const taken = due.slice(0, limit);
      for (const job of taken) {
        Object.assign(job, { state: "RUNNING", owner, isOwnerGone: false, leaseUntil: now + leaseMs, startedAt: now });
        job.attempt += 1;
        job.fence += 1;
      }
      const later = queued.filter((job) => job.runAt > now && job.state === "QUEUED").map(({ runAt }) => runAt);
      const asksForNext = !onlyExpired && taken.length < limit && later.length > 0;
      return { leases: taken.map(toLease), nextDueAt: asksForNext ? Math.min(...later) : null };
    },

    extend: ({ leases, now, leaseMs }) => {
      const bySeq = new Map(inOrder().map((job) => [job.seq, job]));
      return leases.map(({ seq, fence }) => {
        const job = bySeq.get(seq);
        if (job?.state !== "RUNNING" || job.fence !== fence) return "lost";
        job.leaseUntil = now + leaseMs;
        return job.isCancelling ? "cancelling" : "held";
      });
    },

    settle: (settlements) => {
      const bySeq = new Map(inOrder().map((job) => [job.seq, job]));
      return settlements.map((settlement) => settleOne(settlement, bySeq.get(settlement.seq)));
    },

    expired: ({ now, limit }) =>
      inOrder()
        .filter((job) => job.state === "RUNNING" && job.leaseUntil < now)
        .slice(0, limit)
        .map((job) => ({ ...toLease(job), owner: job.owner, isOwnerGone: job.isOwnerGone })),

    recover: ({ owner }) => {
      const left = inOrder().filter((job) => job.state === "RUNNING" && job.owner === owner);
      for (const job of left) Object.assign(job, { leaseUntil: -Infinity, isOwnerGone: true });
      return left.length;
    },

    cancel: (request) => {
      heard(request.now);
      return request.ids.map((id) => cancelOne(ofClient(request.client, id), request));
    },
    redrive: ({ client, now, jobs: asked }) => {
      heard(now);
      return asked.map(({ id, runAt }) => redriveOne(ofClient(client, id), runAt));
    },
    remove: ({ client, ids }) => ids.map((id) => removeOne(ofClient(client, id))),

    get: ({ client, id }) => {
      const job = ofClient(client, id);
      return job ? toWhole(job) : null;
    },

    states: (names) =>
      names.map(({ client, id }) => {
        const job = ofClient(client, id);
        if (!job) return null;
        const { state, attempt: attempts, isCancelling, redrives, runAt } = job;
        return { state, attempts, isCancelling, redrives, runAt };
      }),

    list: ({ client, filter, state, limit, beforeSeq }) => {
      const found = inOrder()
        .filter((job) => job.client === client && job.seq < (beforeSeq ?? Infinity))
        .filter((job) => job.state === (state ?? job.state) && matches(job, filter))
        .reverse()
        .slice(0, limit);
      return { jobs: found.map(toStored), nextSeq: found.length === limit ? found.at(-1)!.seq : null };
    },

    find: ({ client, filter, states, afterSeq, limit }) => {
      const found = inOrder()
        .filter((job) => job.client === client && job.seq > afterSeq)
        .filter((job) => states.includes(job.state) && matches(job, filter))
        .slice(0, limit);
      return { ids: found.map(({ id }) => id), nextSeq: found.length === limit ? found.at(-1)!.seq : null };
    },

    ahead: ({ seq, now, max }) => {
      const asked = inOrder().find((job) => job.seq === seq);
      if (asked?.state !== "QUEUED") return null;
      const line = queuedIn(asked.pool).filter((job) => isSuspect(job) === isSuspect(asked));
      const before = line.filter((job) => job.runAt <= now && inTurn(job, asked) < 0);
      return Math.min(before.length, max);
    },

    results: (request) => read(look(request.client, request.channel), request),
    ack: (requests) => requests.map(({ client, channel, cursor }) => ackOne(look(client, channel), cursor)),

    prune: (request) => {
      heard(request.now);
      const over = [...keys].filter(([, { submittedAt }]) => submittedAt + idempotencyMs <= request.now);
      const forgotten = over.slice(0, request.limit);
      for (const [key] of forgotten) keys.delete(key);
      const removed = prune({ channels: () => [...channels.values()], jobs: inOrder, forget }, request);
      return Math.max(removed, forgotten.length);
    },

    counts: () => ({
      pools: [...pools].map((pool) => {
        const counts: Record<JobState, number> = { QUEUED: 0, RUNNING: 0, SUCCEEDED: 0, DEAD: 0, CANCELLED: 0 };
        for (const job of jobs.values()) if (job.pool === pool) counts[job.state] += 1;
        return { pool, ...counts } satisfies PoolCounts;
      }),
    }),

    oldest: ({ pools: asked, now }) =>
      asked.map((pool) => {
        const due = queuedIn(pool).filter((job) => job.runAt <= now);
        const dead = inOrder().filter((job) => job.pool === pool && job.state === "DEAD");
        return {
          dueAt: least(due.map(({ runAt }) => runAt)),
          diedAt: least(dead.map(({ finishedAt }) => finishedAt!)),
        };
      }),

    latest: () => latestAt,
    size: () => ({ bytes: 0, freeBytes: 0 }),

    close: () => {
      closed = true;
    },
  };

  const call = <K extends keyof StoreCalls>(verb: K) =>
    (async (...args: Parameters<Store[K]>) => {
      if (closed && verb !== "close") throw refusal("store_failed", ["it was closed"]);
      return verbs[verb](...args);
    }) as Store[K];

  const calls = Object.fromEntries(
    Object.keys(verbs).map((verb) => [verb, call(verb as keyof StoreCalls)]),
  ) as StoreCalls;
  return { ...withHints(calls), isShared };
}

function matches(job: Held, filter: JobFilter): boolean {
  const { task, pool, channel, labels, submittedFrom, submittedBefore, deadReason, failureReason } = filter;
  return (
    job.task === (task ?? job.task) &&
    job.pool === (pool ?? job.pool) &&
    job.channel === (channel ?? job.channel) &&
    Object.entries(labels).every(([name, value]) => job.options?.labels?.[name] === value) &&
    job.submittedAt >= (submittedFrom ?? -Infinity) &&
    job.submittedAt < (submittedBefore ?? Infinity) &&
    (deadReason === null || job.deadReason === deadReason) &&
    (failureReason === null || job.failure?.reason === failureReason)
  );
}

function least(times: readonly number[]): number | null {
  return times.length === 0 ? null : Math.min(...times);
}
