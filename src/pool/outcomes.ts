/** Determines how the jobs of a chunk ended: from the thread's report, or from the flags if the thread died. */
import type { Failure, Lease, Outcome } from "../job/job.ts";
import type { ChunkOutcome, ChunkOutcomes, RecordedSpans, StopReason } from "./chunk.ts";
import { standingOf, stopReasonOf, threadOf, withdraw } from "./flags.ts";
import type { HandBacks } from "./hand-backs.ts";
import { cut, textOf } from "./sanitize.ts";
import { loggedSpans } from "./span-log.ts";
import { unfinished } from "./spans.ts";
import type { Ended, Progress } from "./port.ts";
import type { Slot, ThreadFault } from "./slots.ts";
import { maxMessageChars } from "./thrown.ts";

export type Outcomes = {
  /** Converts the thread's report on the jobs from `slot.known`: all of them, or those that have ended so far. */
  ofChunk(slot: Slot, outcomes: ChunkOutcomes, now: number): readonly Ended[];
  /**
   * Outcomes after the thread died or was terminated, or when no thread took the chunk. If `slot.fault` names an
   * origin, that job has failed and the others are released; but started jobs fail, too, if this has happened to them
   * more than `maxHandBacks` times by faults that nothing else bounds (unknown code, or leftovers of an ended job).
   * Without a fault the running job is to blame, and the others are released. If none was running, the cause is
   * unknown: ended jobs without a reported outcome are lost, unless the pool is stopping. Jobs whose outcome is known
   * already are omitted.
   */
  ofDeath(slot: Slot, error: unknown, now: number): readonly Ended[];
};

export type OutcomesParts = {
  readonly timeoutOf: (lease: Lease) => number;
  readonly handBacks: Pick<HandBacks, "add">;
  /** How often a job is released for faults that no running job caused; each further time counts as a failed attempt. */
  readonly maxHandBacks: number;
  /** Called with the last progress report of a job that has ended. */
  readonly onProgress: (slot: Slot, lease: Lease, last: Progress) => void;
  /** Whether the pool is stopping and its threads end: no job is to blame, and a deploy costs no attempt. */
  readonly isStopping: () => boolean;
};

export function createOutcomes(parts: OutcomesParts): Outcomes {
  const { timeoutOf, handBacks, maxHandBacks, onProgress, isStopping } = parts;

  function stopped(reason: StopReason, lease: Lease, hasStarted: boolean): Outcome {
    if (reason === "timed_out") return { kind: reason, timeoutMs: timeoutOf(lease) };
    return reason === "expired" ? { kind: reason, hasStarted } : { kind: reason };
  }

  function ofAttempt(slot: Slot, index: number, ended: ChunkOutcome): Ended {
    const [startedAt, tookMs, output, fault, progress, spans] = ended;
    const lease = slot.leases[index] as Lease;
    if (progress) onProgress(slot, lease, progress);
    let outcome: Outcome;
    if (fault === null) outcome = { kind: "succeeded", output };
    else if (typeof fault === "string") outcome = stopped(fault, lease, true);
    else outcome = { kind: "failed", failure: fault };
    const facts = { lease, outcome, startedAt, finishedAt: startedAt + tookMs, tookMs };
    return spans ? { ...facts, ...handedIn(spans) } : facts;
  }

  /** The outcome of a withdrawn job; undefined: it was reported when it was withdrawn. */
  function ofWithdrawn({ leases, flags, callbacks }: Slot, index: number, now: number): Ended | undefined {
    const reason = stopReasonOf(flags, index) ?? "released";
    if (reason === "released" && callbacks.onReleased) return undefined;
    const lease = leases[index] as Lease;
    return notBegun(lease, stopped(reason, lease, false), now);
  }

  /** The outcome of a job that had started when its thread died. */
  function outcomeOf(lease: Lease, fault: ThreadFault | undefined, error: unknown): Outcome {
    if (!fault) return { kind: "failed", failure: deathOf(error) };
    if (isOf(fault, lease)) return { kind: "failed", failure: fault.failure };
    if (fault.endsCulprit) return { kind: "released" };
    const times = handBacks.add(lease.seq);
    return times <= maxHandBacks
      ? { kind: "released" }
      : { kind: "failed", failure: failureAfterHandBacks(times, fault) };
  }

  return {
    ofChunk(slot, outcomes, now) {
      const all: Ended[] = [];
      const from = slot.known;
      for (let offset = 0; offset < outcomes.length; offset += 1) {
        const outcome = outcomes[offset];
        const index = from + offset;
        const ended = outcome ? ofAttempt(slot, index, outcome) : ofWithdrawn(slot, index, now);
        if (ended) all.push(ended);
      }
      return all;
    },
    ofDeath(slot, error, now) {
      const { leases, flags, fault } = slot;
      // withdraw first: a thread that is being terminated still runs for a moment, and must not start a released job
      const standings = leases.map((_, index) =>
        withdraw(flags, index, "released") ? "waiting" : standingOf(flags, index),
      );
      const hasCulprit = standings.includes("running");
      const isUnsendable = isUnsent(slot, error);
      const endedOf = (lease: Lease, index: number): Ended | undefined => {
        if (index < slot.known) return undefined;
        switch (standings[index]) {
          case "withdrawn":
            return ofWithdrawn(slot, index, now);
          case "running": {
            const reason = stopReasonOf(flags, index);
            const outcome = reason ? stopped(reason, lease, true) : outcomeOf(lease, fault, error);
            if (outcome.kind === "released") return notBegun(lease, outcome, now);
            const startedAt = Math.min(flags.startedAt[0] as number, now); // the clocks of two threads differ slightly
            return {
              lease,
              outcome,
              startedAt,
              finishedAt: now,
              tookMs: now - startedAt,
              ...spansOfDead(slot, index, now),
            };
          }
          case "ended":
            if (fault && !isStopping()) return notBegun(lease, outcomeOf(lease, fault, error), now);
            return notBegun(lease, hasCulprit || isStopping() ? { kind: "released" } : lost, now);
          default:
            return notBegun(lease, isUnsendable ? lost : { kind: "released" }, now);
        }
      };
      return leases.map(endedOf).filter((ended) => ended !== undefined);
    },
  };
}

function isOf({ origin }: ThreadFault, { seq, attempt }: Lease): boolean {
  return origin !== null && origin.id !== null && origin.seq === seq && origin.attempt === attempt;
}

function failureAfterHandBacks(times: number, { failure: { message, stack } }: ThreadFault): Failure {
  const often = `the worker ended ${times} times during this job, by errors that are not known to be its own; the last: `;
  const what = times === 1 ? "the worker ended during this job: " : often;
  return {
    reason: "worker_died",
    message: cut(what + message, maxMessageChars),
    retryable: true,
    ...(stack !== undefined && { stack }),
  };
}

function handedIn({ records, dropped }: RecordedSpans): Pick<Ended, "spans" | "droppedSpans"> {
  return { spans: records, ...(dropped > 0 && { droppedSpans: dropped }) };
}

/** The spans that the job's thread had recorded when it died; open ones end now. */
function spansOfDead({ spanLog }: Slot, index: number, now: number): Pick<Ended, "spans" | "droppedSpans"> {
  const { records, dropped } = spanLog ? loggedSpans(spanLog, index) : { records: [], dropped: 0 };
  if (records.length === 0) return {};
  const ended = records.map((span) => (span.endedAt === 0 ? { ...span, endedAt: now, attributes: unfinished } : span));
  return handedIn({ records: ended, dropped });
}

const lost: Outcome = { kind: "lost", died: null };

/** The end of an attempt that did not start, or started at an unknown time. */
export function notBegun(lease: Lease, outcome: Outcome, now: number): Ended {
  return { lease, outcome, startedAt: now, finishedAt: now, tookMs: 0 };
}

/** Whether no thread got the chunk and sending it again would not help. */
export function isUnsent({ flags }: Slot, error: unknown): boolean {
  if (threadOf(flags) !== 0) return false;
  return error instanceof RangeError || (error instanceof DOMException && error.name === "DataCloneError");
}

/** The failure for a thread's death. The thrown value need not be an Error. */
export function deathOf(error: unknown): Failure {
  if ((error as { readonly code?: unknown } | null | undefined)?.code === "ERR_WORKER_OUT_OF_MEMORY") {
    return { reason: "out_of_memory", message: "the worker ran out of memory during this job", retryable: true };
  }
  return {
    reason: "worker_died",
    message: `the worker ended during this job: ${textOf(error, 4000)}`,
    retryable: true,
  };
}
