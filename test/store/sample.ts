/** Jobs and settlements for the store's tests. */
import { type ContentField, differences } from "../../src/job/content.ts";
import type { Failure, Lease, NewJob, Payload, Settlement } from "../../src/job/job.ts";
import { encodeEnding } from "../../src/job/ending.ts";
import { decodeJob, encodeContent, encodeJob } from "../../src/job/record.ts";
import type { JobFilter, ListRequest, PruneRequest, Settling, Store, Submission } from "../../src/store/store.ts";

/** The time at which every sample job is submitted and due. */
export const t0 = 1_790_000_000_000;

let made = 0;

/** An id that no other sample has. */
export function nextId(): string {
  made += 1;
  return `01990000-0000-7000-8000-${made.toString(16).padStart(12, "0")}`;
}

export function data(content: string | number): Payload {
  const bytes = typeof content === "number" ? new Uint8Array(content).fill(7) : new TextEncoder().encode(content);
  return { kind: "data", type: "", bytes };
}

export function newJob(overrides: Partial<NewJob> = {}): NewJob {
  return {
    id: nextId(),
    client: "ada",
    task: "echo",
    pool: "cpu",
    channel: "default",
    input: data("in"),
    maxAttempts: 4,
    priority: 0,
    runAt: t0,
    expiresAt: null,
    submittedAt: t0,
    trace: null,
    idempotencyKey: null,
    labels: {},
    memo: "",
    timeoutMs: null,
    retry: null,
    ...overrides,
  };
}

export function newJobs(count: number, overrides: Partial<NewJob> = {}): NewJob[] {
  return Array.from({ length: count }, () => newJob(overrides));
}

export function submission(job: NewJob): Submission {
  return { job, record: encodeJob(job), content: job.idempotencyKey === null ? null : encodeContent(job) };
}

/** What a client is told of a job that it submits. */
export type Answer =
  | { readonly kind: "accepted" | "taken" | "late" }
  | { readonly kind: "duplicate"; readonly id: string; readonly cursor: number | null }
  | {
      readonly kind: "conflict";
      readonly id: string;
      readonly by: "id" | "key";
      readonly differs: readonly ContentField[];
    };

/** Submits jobs and compares those that were known, as the admission does. */
export async function submit(store: Pick<Store, "submit">, jobs: readonly NewJob[]): Promise<Answer[]> {
  const answers = await store.submit(jobs.map(submission));
  return answers.map((answer, index) => {
    if (answer.kind !== "known") return answer;
    const { id, by, content, cursor } = answer;
    const differs = differences(content, jobs[index] as NewJob);
    return differs.length === 0 ? { kind: "duplicate", id, cursor } : { kind: "conflict", id, by, differs };
  });
}

/** What was submitted with the job of a lease. */
export const inputOf = ({ record }: Lease) => {
  const { input } = decodeJob(record);
  return input && { ...input, bytes: new Uint8Array(input.bytes) };
};

/** Whoever ran it: as `transition` would settle it. `startedAt` is that of the attempt. */
export function settlement(lease: Lease, overrides: Partial<Settlement> = {}): Settling {
  const { attempt = lease.attempt, startedAt = t0 + 1 } = overrides;
  const startBefore = attempt > 0 ? lease.startedAt : null;
  const { id, client, pool, channel } = lease;
  const all: Settlement = {
    ...{ id, client, pool, channel },
    seq: lease.seq,
    fence: lease.fence,
    outcome: "succeeded",
    state: "SUCCEEDED",
    deadReason: null,
    attempt,
    crashes: lease.crashes,
    runAt: t0,
    output: data("out"),
    failure: null,
    finishedAt: t0 + 2,
    ended: { number: lease.attempt, startedAt },
    ...overrides,
    startedAt: attempt < lease.attempt ? startBefore : startedAt,
  };
  return settling(lease, all);
}

/** As the settler hands it to the store. */
export function settling(lease: Lease, settlement: Settlement): Settling {
  return { settlement, ending: settlement.outcome === "released" ? null : encodeEnding(lease, settlement) };
}

export const bad: Failure = { reason: "bad", message: "no such thing", retryable: false, details: { width: 5 } };

/** The ways a job dies and is cancelled while it runs. */
export const died = {
  outcome: "failed",
  state: "DEAD",
  deadReason: "permanent",
  output: null,
  failure: bad,
} as const satisfies Partial<Settlement>;
export const stopped = {
  outcome: "cancelled",
  state: "CANCELLED",
  output: null,
  failure: { reason: "cancelled", message: "the job was cancelled", retryable: false },
} as const satisfies Partial<Settlement>;
/** It failed and is tried again. */
export const retried = {
  outcome: "failed",
  state: "QUEUED",
  output: null,
  failure: { reason: "slow", message: "too slow", retryable: true, retryAfterMs: 5, details: { a: [1] } },
} as const satisfies Partial<Settlement>;

/** How the sample server leases. */
export const asBoot1 = { owner: "boot-1", leaseMs: 30_000 } as const;

export async function leaseAll(store: Store, pool = "cpu", limit = 1_000): Promise<readonly Lease[]> {
  return (await store.lease({ pool, limit, now: t0, ...asBoot1 })).leases;
}

/** Submits jobs, runs them and settles each the same way; gives the leases they ran under. */
export async function finish(
  store: Store,
  jobs: readonly NewJob[],
  overrides: Partial<Settlement> = {},
): Promise<readonly Lease[]> {
  await submit(store, jobs);
  const leases = await leaseAll(store, jobs[0]?.pool);
  await store.settle(leases.map((lease) => settlement(lease, overrides)));
  return leases;
}

/** Everything a channel has after a position. */
export function resultsOf(store: Store, afterCursor = 0, channel = "default", client = "ada") {
  return store.results({ client, channel, afterCursor, limit: 1_000, maxBytes: Number.MAX_SAFE_INTEGER });
}

/** A filter that every job matches. */
export const anyJob: JobFilter = {
  task: null,
  pool: null,
  channel: null,
  labels: {},
  submittedFrom: null,
  submittedBefore: null,
  deadReason: null,
  failureReason: null,
};

/** All jobs of the sample client. */
export const everything: ListRequest = { client: "ada", filter: anyJob, state: null, limit: 1_000, beforeSeq: null };

export async function listAll(store: Store) {
  return (await store.list(everything)).jobs;
}

const boundless = { jobs: Infinity, bytes: Infinity };

/** Removes nothing. */
export const pruneNothing: PruneRequest = {
  now: t0,
  acknowledgedBefore: 0,
  unacknowledgedBefore: 0,
  deadBefore: 0,
  maxFinished: boundless,
  maxDead: boundless,
  limit: 1_000,
};

/** Removes acknowledged results whatever their age, and nothing else. */
export const pruneAcknowledged: PruneRequest = { ...pruneNothing, acknowledgedBefore: t0 * 2 };
