import { refusal } from "../errors.ts";
import { idempotencyMs, isFinal, isSuspect, type JobState, maxHistory } from "../job/job.ts";
import { encodeEnding } from "../job/ending.ts";
import { decodeJob } from "../job/record.ts";
import { cancel, judge, redrive } from "../job/transition.ts";
import { withHints } from "./hints.ts";
import { ackOne, append, createChannel, detach, read } from "./memory/channel.ts";
import { type Channel, cursorOf, type Held, inTurn, matches, toLease, toStored, toWhole } from "./memory/job.ts";
import { prune } from "./memory/prune.ts";
import { noOverrides, override, type PoolOverrides } from "./pool-overrides.ts";
import type { Cancelled, PoolCounts, Redriven, Removed, Settled, Settling } from "./store.ts";
import type { Store, StoreCalls, Submission, Submitted } from "./store.ts";

type Key = { readonly id: string; readonly submittedAt: number; readonly content: Uint8Array };

/**
 * A store without persistence: for tests, and as the reference for other drivers. Each call reads all jobs, so it is
 * for thousands of jobs, not millions. `isShared`: several engines of this process use it.
 */
export function createMemoryStore({ isShared = false } = {}): Store {
  const jobs = new Map<string, Held>();
  const channels = new Map<string, Channel>();
  const keys = new Map<string, Key>();
  const pools = new Set<string>();
  const overrides = new Map<string, PoolOverrides>();
  let lastSeq = 0;
  let latestAt = 0;
  let closed = false;

  const observe = (at: number) => {
    latestAt = Math.max(latestAt, at);
  };
  const inOrder = () => [...jobs.values()].sort((a, b) => a.seq - b.seq);
  const queuedIn = (pool: string) => inOrder().filter((job) => job.pool === pool && job.state === "QUEUED");
  const keyOf = (client: string, name: string | null) => JSON.stringify([client, name]);
  const channelNamed = (client: string, name: string) => channels.get(keyOf(client, name)) ?? createChannel(name);
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

  function add({ job, record, content }: Submission): Submitted {
    const { id, client, idempotencyKey, submittedAt, runAt, expiresAt } = job;
    const found = jobs.get(id);
    if (found) return found.client === client ? known("id", id, found.record) : { kind: "taken" };
    const key = keyOf(client, idempotencyKey);
    const used = idempotencyKey === null ? undefined : keys.get(key);
    if (used && submittedAt < used.submittedAt + idempotencyMs) return known("key", used.id, used.content);
    if (expiresAt !== null && expiresAt <= runAt) return { kind: "late" };
    if (content) keys.set(key, { id, submittedAt, content });
    observe(submittedAt);
    pools.add(job.pool);
    jobs.set(id, {
      ...job,
      ...{ record, seq: ++lastSeq, inChannel: channelOf(client, job.channel), state: "QUEUED", isCancelling: false },
      ...{ attempt: 0, fence: 0, crashes: 0, redrives: 0, owner: "", isOwnerGone: false, leaseUntil: 0, leasedAt: 0 },
      ...{ startedAt: null, finishedAt: null, ending: null, cursor: null, history: [] },
    });
    return { kind: "accepted" };
  }

  function known(by: "id" | "key", id: string, content: Uint8Array): Submitted {
    const held = jobs.get(id);
    return { kind: "known", by, id, content, cursor: held ? cursorOf(held) : null };
  }

  function settleOne({ settlement, ending }: Settling, job: Held | undefined): Settled {
    const { outcome, state, attempt, crashes, runAt, startedAt, finishedAt } = settlement;
    const verdict = judge(job?.state === "RUNNING" ? job : undefined, settlement);
    if (!job || verdict !== "written") return verdict;
    observe(finishedAt);
    if (ending && outcome !== "succeeded") job.history = [...job.history, ending].slice(-maxHistory);
    Object.assign(job, { state, attempt, crashes, startedAt, isCancelling: false });
    if (isFinal(state)) append(job, ending!, finishedAt);
    else job.runAt = runAt;
    return "written";
  }

  function cancelOne(job: Held | undefined, now: number): Cancelled {
    if (!job) return { kind: "not_found" };
    const { task, pool, seq, channel, submittedAt, runAt, redrives, attempt: attempts } = job;
    const decision = cancel(job, now);
    if (decision.kind === "final") return decision;
    if (decision.kind === "cancelling") {
      job.isCancelling = true;
      return { kind: "cancelling", pool, seq };
    }
    const { labels, trace } = decodeJob(job.record);
    job.state = decision.ending.state;
    append(job, encodeEnding({ ...job, labels }, decision.ending), now);
    return { kind: "cancelled", task, pool, channel, trace, submittedAt, runAt, attempts, redrives };
  }

  function redriveOne(job: Held | undefined, runAt: number): Redriven {
    if (!job) return { kind: "not_found" };
    if (job.state !== "DEAD") return { kind: "not_dead", state: job.state };
    detach(job);
    Object.assign(job, redrive(job, runAt), { finishedAt: null, ending: null, cursor: null });
    return { kind: "redriven", pool: job.pool, trace: decodeJob(job.record).trace };
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

    lease: ({ pool, limit, maxBytes = Infinity, now, owner, leaseMs, onlyExpired = false, suspects = false }) => {
      observe(now);
      const queued = queuedIn(pool)
        .filter((job) => onlyExpired || isSuspect(job) === suspects)
        .sort(inTurn);
      const isMeant = (job: Held) => (onlyExpired ? job.expiresAt !== null && job.expiresAt <= now : job.runAt <= now);
      const due = queued.filter(isMeant);
      if (onlyExpired) due.sort((a, b) => a.expiresAt! - b.expiresAt! || a.seq - b.seq);
      const taken: Held[] = [];
      for (let bytes = 0; taken.length < Math.min(limit, due.length) && bytes < maxBytes; ) {
        const job = due[taken.length]!;
        taken.push(job);
        bytes += job.record.length;
      }
      for (const job of taken) {
        Object.assign(job, { state: "RUNNING", owner, isOwnerGone: false, leaseUntil: now + leaseMs, leasedAt: now });
        job.attempt += 1;
        job.fence += 1;
      }
      const later = queued.filter((job) => job.runAt > now && job.state === "QUEUED").map(({ runAt }) => runAt);
      const asksForNext = !onlyExpired && taken.length < limit && later.length > 0;
      const isCut = taken.length < Math.min(limit, due.length);
      return { leases: taken.map(toLease), nextDueAt: isCut ? now : asksForNext ? Math.min(...later) : null };
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

    settle: (attempts) => {
      const bySeq = new Map(inOrder().map((job) => [job.seq, job]));
      return attempts.map((attempt) => settleOne(attempt, bySeq.get(attempt.settlement.seq)));
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
      observe(request.now);
      return request.ids.map((id) => cancelOne(ofClient(request.client, id), request.now));
    },
    redrive: ({ client, now, jobs: asked }) => {
      observe(now);
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
      const queue = queuedIn(asked.pool).filter((job) => isSuspect(job) === isSuspect(asked));
      const before = queue.filter((job) => job.runAt <= now && inTurn(job, asked) < 0);
      return Math.min(before.length, max);
    },

    results: (request) => read(channelNamed(request.client, request.channel), request),
    ack: (requests) => requests.map(({ client, channel, cursor }) => ackOne(channelNamed(client, channel), cursor)),

    prune: (request) => {
      observe(request.now);
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

    eligible: ({ pools: asked, now }) =>
      asked.map(({ pool, max }) => {
        const due = queuedIn(pool).filter((job) => job.runAt <= now && !isSuspect(job));
        return { jobs: Math.min(due.length, max), oldestAt: least(due.map(({ runAt }) => runAt)) };
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

    override: ({ pool, ...request }) => {
      const before = overrides.get(pool) ?? noOverrides;
      const after = override(before, request);
      if (after.pause || after.resize) overrides.set(pool, after);
      else overrides.delete(pool);
      return { before, after };
    },
    overrides: () => new Map(overrides),

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

function least(times: readonly number[]): number | null {
  return times.length === 0 ? null : Math.min(...times);
}
