/** How the jobs of a chunk ended: as its thread reports, or by its flags when the thread died. */
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
  /** How the thread reports that the jobs from `slot.known` on ended: all of them, or those that have so far. */
  ofChunk(slot: Slot, outcomes: ChunkOutcomes, now: number): readonly Ended[];
  /**
   * The thread died or was ended, or none took the chunk. A fault names whose code did that: that job has failed, and the
   * others are released. Those that had begun are, however, failed when it has happened to them too often by faults that
   * nothing else bounds: of unknown code, or of what a job left behind. Without one the job
   * that was running is to blame, and the others are released; when none was running, it is unknown what killed the
   * thread, unless the pool ends: those that had ended are lost. Jobs whose outcome is known already are left out.
   */
  ofDeath(slot: Slot, error: unknown, now: number): readonly Ended[];
};

export type OutcomesParts = {
  readonly timeoutOf: (lease: Lease) => number;
  readonly handBacks: Pick<HandBacks, "add">;
  /** How often a job is handed back for what nobody who is under way did, before each time counts as an attempt. */
  readonly maxHandBacks: number;
  /** Takes the last report of progress of a job that has ended. */
  readonly onProgress: (slot: Slot, lease: Lease, last: Progress) => void;
  /** Whether the pool ends, and its threads with it: no job is to blame for that, and a deploy costs no attempt. */
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

  /** A job that did not begin because it was withdrawn; undefined: that was reported when it was. */
  function ofWithdrawn({ leases, flags, callbacks }: Slot, index: number, now: number): Ended | undefined {
    const reason = stopReasonOf(flags, index) ?? "released";
    if (reason === "released" && callbacks.onReleased) return undefined;
    const lease = leases[index] as Lease;
    return notBegun(lease, stopped(reason, lease, false), now);
  }

  /** Of a job that had begun when its thread died. */
  function outcomeOf(lease: Lease, fault: ThreadFault | undefined, error: unknown): Outcome {
    if (!fault) return { kind: "failed", failure: deathOf(error) };
    if (isOf(fault, lease)) return { kind: "failed", failure: fault.failure };
    if (fault.endsCulprit) return { kind: "released" };
    const times = handBacks.add(lease.seq);
    return times <= maxHandBacks ? { kind: "released" } : { kind: "failed", failure: endedTooOften(times, fault) };
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
      // withdrawn first: a thread that is told to end goes on for a moment, and must begin none that is released
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
            const startedAt = Math.min(flags.startedAt[0] as number, now); // the clocks of two threads differ a little
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

function endedTooOften(times: number, { failure: { message, stack } }: ThreadFault): Failure {
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

/** What the job's thread had recorded when it died; those that were open end now. */
function spansOfDead({ spanLog }: Slot, index: number, now: number): Pick<Ended, "spans" | "droppedSpans"> {
  const { records, dropped } = spanLog ? loggedSpans(spanLog, index) : { records: [], dropped: 0 };
  if (records.length === 0) return {};
  const ended = records.map((span) => (span.endedAt === 0 ? { ...span, endedAt: now, attributes: unfinished } : span));
  return handedIn({ records: ended, dropped });
}

const lost: Outcome = { kind: "lost", died: null };

/** A job whose attempt did not begin, or began at an unknown time. */
export function notBegun(lease: Lease, outcome: Outcome, now: number): Ended {
  return { lease, outcome, startedAt: now, finishedAt: now, tookMs: 0 };
}

/** No thread got the chunk, and no other attempt to send it would fare better. */
export function isUnsent({ flags }: Slot, error: unknown): boolean {
  if (threadOf(flags) !== 0) return false;
  return error instanceof RangeError || (error instanceof DOMException && error.name === "DataCloneError");
}

/** A thread dies of whatever was thrown in it, which need not be an error. */
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
