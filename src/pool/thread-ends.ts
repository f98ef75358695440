/**
 * Terminates threads, and determines which job caused the end of a thread. A thread may run several jobs at once: the
 * one to blame has failed or was stopped, and the others are released. If the culprit is unknown, all are released.
 */
import type { Worker } from "node:worker_threads";
import { pause, systemClock } from "../clock.ts";
import type { Failure, Lease } from "../job/job.ts";
import { jobFields } from "../job/log-fields.ts";
import type { Log } from "../log.ts";
import type { ThreadMessage } from "./chunk.ts";
import { failureOf } from "./failure.ts";
import type { Fault, Origin } from "./faults.ts";
import { standingOf } from "./flags.ts";
import { deathOf, isUnsent } from "./outcomes.ts";
import { ownerChanges, type RunningCode, runningCode, turnedAt } from "./pulse.ts";
import { textOf } from "./sanitize.ts";
import type { Slot, Slots, ThreadFault } from "./slots.ts";
import type { Stalls } from "./stalls.ts";
import type { ThreadTerminations } from "./thread-termination.ts";

export type ThreadEnds = {
  /**
   * The thread reported an uncaught error. It is about to end by itself, but an exit handler could prevent that, so it
   * is terminated.
   */
  onFault(message: Extract<ThreadMessage, { readonly kind: "fault" }>): void;
  /** Terminates the thread of a job that did not stop. */
  kill(slot: Slot): void;
  /** The event loop of the thread has been blocked for `stillMs`, and may be for `restMs` more. */
  onStalled(threadId: number, stillMs: number, restMs: number): Promise<void>;
  /** The run of the slot was rejected: its thread has ended, or is terminated now, unless its chunk never got one. */
  onDeath(slot: Slot, error: unknown): void;
  /** Withdraws a chunk that no thread took. The thread that it was posted to, if any, is unresponsive, and is terminated. */
  abort(slot: Slot): void;
};

export type ThreadEndsParts = {
  readonly pool: string;
  readonly slots: Pick<Slots, "leaseOf" | "busy" | "quarantine">;
  readonly threadWith: (threadId: number) => Worker | undefined;
  readonly terminations: Pick<ThreadTerminations, "watch">;
  readonly stalls: Pick<Stalls, "pulseOf" | "isStalled">;
  readonly isStopping: () => boolean;
  /** A thread fails by none of its jobs: the next one may as well. */
  readonly onUnfit: (threadId: number, why: string) => void;
  readonly log: Log;
};

const maxErrorChars = 4000;
const never = new AbortController().signal;

export function createThreadEnds(parts: ThreadEndsParts): ThreadEnds {
  const { pool, slots, threadWith, terminations, stalls, isStopping, log } = parts;

  /** Slots whose chunk was posted to the thread, taken or not. */
  const slotsOf = (threadId: number) =>
    threadId === 0 ? [] : [...slots.busy].filter(({ thread }) => thread === threadId);

  /**
   * Sets the fault of every slot of the thread that has none, except `except`. Piscina replaces the thread at once,
   * even if Node cannot terminate it.
   */
  function endThread(threadId: number, fault?: Fault, except?: Slot): void {
    const those = slotsOf(threadId);
    const threadFault = fault && ofThread(fault, those);
    for (const slot of those) {
      slot.isAborted = true;
      if (slot !== except) slot.fault ??= threadFault;
    }
    const thread = threadWith(threadId);
    if (thread && stalls.pulseOf(threadId)) {
      const releases = those.map(slots.quarantine);
      terminations.watch(thread, () => {
        for (const release of releases) release();
      });
    }
    those[0]?.end();
  }

  /** The job to blame among those that ran when their thread ended or blocked; undefined: unknown. */
  function culpritOf(threadId: number, running: readonly Lease[]): Lease | undefined {
    const pulse = stalls.pulseOf(threadId);
    const code = pulse && runningCode(pulse);
    if (code) return slots.leaseOf(code);
    return running.length === 1 ? running[0] : undefined;
  }

  return {
    onFault({ thread, origin, failure }) {
      const those = slotsOf(thread);
      const { message: error, stack } = failure;
      log.warn({ ...whose(pool, origin), error, stack }, faultText(origin, those));
      if (origin === null || origin.id === null) parts.onUnfit(thread, unfitText(failure));
      endThread(thread, { origin, failure });
    },
    kill(slot) {
      // it cannot stop while the loop is blocked, perhaps by another job: `onStalled` decides
      const isBlocked = slotsOf(slot.thread).length > 1 && stalls.isStalled(slot.thread);
      if (isBlocked && !isStopping()) return;
      const lease = slot.leases[slot.seen] as Lease;
      log.warn(jobFields(lease), "a job did not stop when it was asked to: its worker is terminated");
      const message = "another job did not stop when it was asked to";
      endThread(slot.thread, { origin: lease, failure: { reason: "worker_died", message, retryable: true } }, slot);
    },
    async onStalled(threadId, halfMs, restMs) {
      const pulse = stalls.pulseOf(threadId);
      const since = pulse && turnedAt(pulse);
      const beganMs = systemClock.monotonicMs();
      let code: RunningCode | undefined;
      for (let changes = -1; pulse && ownerChanges(pulse) !== changes; ) {
        // if the job changed, several jobs compute in turn, and none is known to block for long
        changes = ownerChanges(pulse);
        code = runningCode(pulse);
        await pause(systemClock, restMs, never);
        code ??= runningCode(pulse);
        if (turnedAt(pulse) !== since || !threadWith(threadId) || isStopping()) return;
      }
      const jobs = slotsOf(threadId).flatMap(runningOf);
      const alone = jobs.length === 1 ? jobs[0] : undefined;
      const origin = (code ? slots.leaseOf(code) : alone) ?? null;
      const stillMs = halfMs + systemClock.monotonicMs() - beganMs;
      const fields = { ...whose(pool, origin), stillMs: Math.round(stillMs), jobs: jobs.length };
      log.warn(fields, stallText(origin, jobs));
      endThread(threadId, { origin, failure: blockedFor(stillMs) });
    },
    onDeath(slot, error) {
      if (isStopping() || slot.isAborted || slot.fault) return;
      if (threadWith(slot.thread) && !isUnsent(slot, error)) {
        // the worker's own code threw, because a job has replaced something it uses: it would throw in each chunk
        const failure = failureOf(error);
        log.warn({ pool, error: failure.message, stack: failure.stack }, faultText(null, []));
        parts.onUnfit(slot.thread, unfitText(failure));
        return endThread(slot.thread, { origin: null, failure });
      }
      const those = slotsOf(slot.thread);
      const running = those.flatMap(runningOf);
      const culprit = culpritOf(slot.thread, running);
      const isUnknown = running.length > 1 && !culprit;
      log.warn(
        { ...(culprit ? jobFields(culprit) : { pool }), error: textOf(error, maxErrorChars) },
        isUnknown
          ? "a worker died, and it is not known by which of its jobs: they return to the queue"
          : "a worker died",
      );
      // for a single job the flags contain all that is known
      if (those.length === 1 || running.length === 0) return;
      const fault = ofThread({ origin: culprit ?? null, failure: deathOf(error) }, those);
      for (const each of those) each.fault = fault;
    },
    abort(slot) {
      if (slot.thread !== 0) return endThread(slot.thread);
      slot.isAborted = true;
      slot.end();
    },
  };
}

function runningOf({ leases, flags }: Slot): readonly Lease[] {
  return leases.filter((_, index) => standingOf(flags, index) === "running");
}

function ofThread(fault: Fault, those: readonly Slot[]): ThreadFault {
  return { ...fault, endsCulprit: fault.origin !== null && isUnderWay(fault.origin, those) };
}

/** Log fields for an origin: those of the job, if there is one. */
function whose(pool: string, origin: Origin | null) {
  return origin !== null && origin.id !== null ? jobFields({ ...origin, pool }) : { pool, task: origin?.task };
}

function isOf(origin: Origin, lease: Lease): boolean {
  return origin.id === lease.id && origin.attempt === lease.attempt;
}

function isUnderWay(origin: Origin, those: readonly Slot[]): boolean {
  return those.some(({ leases, known }) => leases.slice(known).some((lease) => isOf(origin, lease)));
}

function faultText(origin: Origin | null, those: readonly Slot[]): string {
  if (origin === null) return "a worker failed through unknown code, and is ended: its jobs return to the queue";
  if (origin.id === null)
    return "what a task's file started failed, and its worker is ended: its jobs return to the queue";
  return isUnderWay(origin, those)
    ? "a job threw an error that was not caught, and its worker is ended"
    : "what a job left behind failed, and its worker is ended: its jobs return to the queue";
}

function stallText(origin: Origin | null, running: readonly Lease[]): string {
  if (origin !== null && running.some((lease) => isOf(origin, lease)))
    return "a job blocks its worker, which is ended: its other jobs return to the queue";
  if (origin === null)
    return "a worker is blocked, and it is not known by which of its jobs: it is ended, and its jobs return to the queue";
  return "what a job left behind blocks a worker, which is ended: its jobs return to the queue";
}

function unfitText({ message, stack }: Failure): string {
  return `it fails by none of its jobs, perhaps by what a task's file does or replaces when it is loaded: ${stack ?? message}`;
}

function blockedFor(stillMs: number): Failure {
  const message = `the job blocked its worker for ${Math.round(stillMs)} ms, and the other jobs of that worker with it`;
  return { reason: "worker_blocked", message, retryable: true };
}
