/** The true story of every job, kept beside the store as its calls are committed, and judged line by line. */
import { differences } from "../../../src/job/content.ts";
import { defaultRetryPolicy } from "../../../src/job/backoff.ts";
import { type Failure, isFinal, type JobState, type Lease, type NewJob } from "../../../src/job/job.ts";
import { decodePast } from "../../../src/job/ending.ts";
import { decodeJob } from "../../../src/job/record.ts";
import type { Cancelled, CancelRequest, Extended, Leased, LeaseRequest } from "../../../src/store/store.ts";
import type { Redriven, RedriveRequest, Removed, Settled, Settling } from "../../../src/store/store.ts";
import type { ExtendRequest, Submission, Submitted } from "../../../src/store/store.ts";
import type { Call } from "./disk.ts";
import type { Record } from "./record.ts";
import type { World } from "./world.ts";

/** A lease as it was given, and when it truly ends: first as it was given, then as it was renewed. */
type Given = { readonly fence: number; readonly attempt: number; readonly owner: string; readonly ends: End[] };
type End = { readonly setMs: number; readonly untilMs: number };

export type Entry = {
  readonly job: NewJob;
  state: JobState;
  /** Attempts that count, in this life. */
  counted: number;
  fence: number;
  given: Given | undefined;
  /** It must not begin before, as its process would see it with a clock that nobody tampered with. */
  dueAt: number;
  /** When its executions ended, by fence and by their process's clock. */
  readonly endedAt: Map<number, number>;
  /** Somebody cancelled it while it ran. */
  isWished: boolean;
  redrives: number;
  isRemoved: boolean;
  /** An attempt that may have begun was given back, and is not counted. */
  wasReleased: boolean;
  /** Under which fence each life ended; null: it was cancelled while it waited. */
  readonly ends: { readonly state: JobState; readonly redrives: number; readonly fence: number | null }[];
  /** Fences of those that run now. */
  readonly running: Set<string>;
};

/** The process that made a call. */
export type Caller = {
  readonly owner: string;
  /** What its clock shows unless it was tampered with. */
  trueNow(): number;
};

export type Ledger = {
  readonly entries: ReadonlyMap<string, Entry>;
  /** A job was sent, and must not begin before; of several times the earliest counts. */
  sent(id: string, dueAt: number): void;
  applied(call: Call, answer: unknown, caller: Caller): void;
  /** An execution begins. */
  began(lease: Lease, run: string, caller: Caller): void;
  finished(lease: Lease, run: string, caller: Caller): void;
};

export type LedgerParts = {
  readonly world: World;
  readonly record: Record;
  /** Whether the process with this name may still write. */
  readonly isAlive: (owner: string) => boolean;
  /** Whether two processes have had the store at once. */
  readonly isShared: () => boolean;
};

/** Clocks are read in whole milliseconds. */
const slackMs = 1;
/** Shorter ones say little about the draw, for delays are whole milliseconds. */
const leastDrawnMs = 20;

export function createLedger({ world, record, isAlive, isShared }: LedgerParts): Ledger {
  const { check } = record;
  const entries = new Map<string, Entry>();
  const bySeq = new Map<number, Entry>();
  const dueAt = new Map<string, number>();

  function submitted(job: NewJob, answer: Submitted): void {
    if (answer.kind === "known") {
      return record.count(differences(answer.content, job).length === 0 ? "answer duplicate" : "answer conflict");
    }
    if (answer.kind !== "accepted") return record.count(`answer ${answer.kind}`);
    entries.set(job.id, {
      ...{ job, state: "QUEUED", counted: 0, fence: 0, given: undefined, isWished: false, redrives: 0 },
      ...{
        dueAt: dueAt.get(job.id) ?? 0,
        endedAt: new Map(),
        isRemoved: false,
        wasReleased: false,
        ends: [],
        running: new Set(),
      },
    });
  }

  function leased(
    { now, leaseMs, onlyExpired = false }: LeaseRequest,
    { leases }: Leased,
    { owner, trueNow }: Caller,
  ): void {
    for (const { id, seq, fence, attempt } of leases) {
      const entry = entries.get(id);
      if (!entry) continue;
      bySeq.set(seq, entry);
      const { counted, job } = entry;
      check("I6", entry.state === "QUEUED", () => `leased while it is ${entry.state}`, id);
      check("I7", fence === entry.fence + 1, () => `fence ${fence} follows ${entry.fence}`, id);
      check("I7", attempt === counted + 1, () => `attempt ${attempt} is leased after ${counted} that count`, id);
      check("I7", attempt <= job.maxAttempts, () => `attempt ${attempt} of ${job.maxAttempts} is leased`, id);
      check("I13", !entry.isWished, () => "leased after it was cancelled", id);
      const earlyMs = entry.dueAt - trueNow();
      check("I14", onlyExpired || earlyMs <= slackMs, () => `leased ${earlyMs} ms before its time`, id);
      const end = { setMs: world.nowMs(), untilMs: world.nowMs() + now + leaseMs - trueNow() };
      Object.assign(entry, { state: "RUNNING", fence, given: { fence, attempt, owner, ends: [end] } });
    }
  }

  function extended({ leases, now, leaseMs }: ExtendRequest, answers: readonly Extended[], trueNow: number): void {
    for (const [index, { seq, fence }] of leases.entries()) {
      const given = bySeq.get(seq)?.given;
      if (answers[index] === "lost" || given?.fence !== fence) continue;
      given.ends.push({ setMs: world.nowMs(), untilMs: world.nowMs() + now + leaseMs - trueNow });
    }
  }

  function settled({ settlement, ending }: Settling, answer: Settled, { trueNow }: Caller): void {
    if (answer !== "written") return record.count(`settled ${answer}`);
    const entry = bySeq.get(settlement.seq);
    if (!entry) return;
    const { id } = entry.job;
    const { fence, outcome, state, attempt } = settlement;
    const { given } = entry;
    record.count(`outcome ${outcome}`);
    check("I6", entry.state === "RUNNING", () => `settled as ${outcome} while it is ${entry.state}`, id);
    check("I6", given?.fence === fence, () => `settled with fence ${fence} and held with ${given?.fence}`, id);
    const mayNotCount = outcome === "released" || outcome === "expired" || outcome === "cancelled";
    const isCounted = attempt === given?.attempt || (mayNotCount && attempt === (given?.attempt ?? 0) - 1);
    check("I7", isCounted, () => `attempt ${given?.attempt} ended as ${outcome} and counts as ${attempt}`, id);
    const isObeyed = !entry.isWished || state === "CANCELLED" || state === "SUCCEEDED";
    check("I13", isObeyed, () => `${state} after it was cancelled`, id);
    check(
      "I13",
      outcome !== "cancelled" || entry.isWished || isShared(),
      () => "cancelled, and nobody asked for it",
      id,
    );
    const leftMs = (entry.job.expiresAt ?? 0) - trueNow();
    check("I14", outcome !== "expired" || leftMs <= slackMs, () => `expired ${leftMs} ms before its deadline`, id);
    if (outcome === "released") entry.wasReleased = true;
    if (outcome === "lost" && given && settlement.deadReason !== "poison") wasLost(entry, given);
    if (state === "QUEUED" && (outcome === "failed" || outcome === "timed_out" || outcome === "lost")) {
      retried(entry, settlement, ending ? decodePast(ending).failure : null);
    }
    Object.assign(entry, { state, counted: attempt, given: undefined });
    if (isFinal(state)) ended(entry, fence);
  }

  /** Only what no living process held, or held beyond its end, is lost; but for what lost a process of its own. */
  function wasLost({ job }: Entry, { owner, ends }: Given): void {
    const hasEnded = ends.some(({ untilMs }, index) => untilMs <= (ends[index + 1]?.setMs ?? world.nowMs()) + slackMs);
    check("I8", !isAlive(owner) || hasEnded, () => `settled as lost while ${owner} held it`, job.id);
  }

  function retried(entry: Entry, settlement: Settling["settlement"], failure: Failure | null): void {
    const { fence, outcome, attempt, runAt, finishedAt } = settlement;
    const { id, retry } = entry.job;
    const { baseMs, factor, maxBackoffMs, jitter } = { ...defaultRetryPolicy, ...retry };
    const delayMs = runAt - finishedAt;
    // an attempt that is given up as lost may go on, and end later
    const endedAt = outcome === "lost" ? 0 : (entry.endedAt.get(fence) ?? 0);
    // it was due before, or this lease was a breach; the old time may be of a clock that is ahead of the next process's
    entry.dueAt = endedAt + delayMs;
    const wish = failure?.retryAfterMs;
    const boundMs = Math.min(maxBackoffMs, baseMs * factor ** (attempt - 1));
    const text = () => `waits ${delayMs} ms after attempt ${attempt}, and ${wish ?? `at most ${boundMs}`} ms are right`;
    if (wish !== undefined) return check("I14", delayMs === Math.ceil(wish), text, id);
    check(
      "I14",
      jitter === "full" ? delayMs >= 0 && delayMs <= Math.ceil(boundMs) : delayMs === Math.round(boundMs),
      text,
      id,
    );
    if (jitter === "full" && boundMs >= leastDrawnMs) record.draws.push(delayMs / boundMs);
  }

  function ended(entry: Entry, fence: number | null): void {
    const { state, redrives, ends, job } = entry;
    check("I1", !ends.some((end) => end.redrives === redrives), () => `ended a second time, as ${state}`, job.id);
    ends.push({ state, redrives, fence });
  }

  function cancelled({ ids }: CancelRequest, answers: readonly Cancelled[]): void {
    for (const [index, id] of ids.entries()) {
      const entry = entries.get(id);
      const kind = answers[index]?.kind;
      record.count(`cancel ${kind}`);
      if (!entry) continue;
      if (kind === "cancelling") entry.isWished = true;
      if (kind !== "cancelled") continue;
      entry.state = "CANCELLED";
      ended(entry, null);
    }
  }

  function redriven({ client, jobs }: RedriveRequest, answers: readonly Redriven[]): void {
    for (const [index, { id }] of jobs.entries()) {
      const entry = entries.get(id);
      const kind = answers[index]?.kind;
      record.count(`redrive ${kind}`);
      if (kind !== "redriven" || !entry) continue;
      Object.assign(entry, { state: "QUEUED", counted: 0, redrives: entry.redrives + 1, dueAt: 0 });
      if (entry.job.channel !== null) record.write({ kind: "redrive", client, id });
    }
  }

  function removed(ids: readonly string[], answers: readonly Removed[]): void {
    for (const [index, id] of ids.entries()) {
      const entry = entries.get(id);
      record.count(`remove ${answers[index]?.kind}`);
      if (answers[index]?.kind !== "removed" || !entry) continue;
      check("I1", isFinal(entry.state), () => `removed while it is ${entry.state}`, id);
      entry.isRemoved = true;
    }
  }

  return {
    entries,
    applied({ method, request }, answer, caller) {
      switch (method) {
        case "submit":
          for (const [index, { record }] of (request as Submission[]).entries())
            submitted(decodeJob(record), (answer as Submitted[])[index]!);
          break;
        case "lease":
          leased(request as LeaseRequest, answer as Leased, caller);
          break;
        case "extend": {
          extended(request as ExtendRequest, answer as Extended[], caller.trueNow());
          break;
        }
        case "settle":
          for (const [index, one] of (request as Settling[]).entries())
            settled(one, (answer as Settled[])[index]!, caller);
          break;
        case "cancel":
          cancelled(request as CancelRequest, answer as Cancelled[]);
          break;
        case "redrive":
          redriven(request as RedriveRequest, answer as Redriven[]);
          break;
        case "remove":
          removed((request as { ids: readonly string[] }).ids, answer as Removed[]);
          break;
        default:
      }
    },
    sent: (id, at) => void dueAt.set(id, Math.min(at, dueAt.get(id) ?? at)),
    began({ id, fence, expiresAt }, run, { trueNow }) {
      const entry = entries.get(id);
      check("I2", entry !== undefined, () => "runs, and nobody submitted it", id);
      const now = trueNow();
      const earlyMs = (entry?.dueAt ?? 0) - now;
      // one that slept through the end of its lease begins what is another's by now, by a clock of its own
      const isStale = isShared() && entry?.fence !== fence;
      check("I14", isStale || earlyMs <= slackMs, () => `began ${earlyMs} ms before its time`, id);
      const lateMs = now - (expiresAt ?? now);
      check("I14", lateMs <= slackMs, () => `began ${lateMs} ms after its deadline`, id);
      if (!entry || isShared()) return;
      const isHeld = entry.state === "RUNNING" && entry.fence === fence;
      check("I8", isHeld, () => `began with fence ${fence}, and is ${entry.state} with ${entry.fence}`, id);
      check("I8", entry.running.size === 0, () => `began while it runs with ${[...entry.running].join(", ")}`, id);
      entry.running.add(run);
    },
    finished({ id, fence }, run, { trueNow }) {
      const entry = entries.get(id);
      entry?.running.delete(run);
      entry?.endedAt.set(fence, trueNow());
    },
  };
}
