/**
 * Ends threads, and finds out whose fault an end is. A thread may run several jobs at once: the one that is to blame has
 * failed, or stopped, and what ran beside it is handed back. Where it is not known which one it was, none is blamed.
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
  /** An error in the thread was not caught. It is about to end by itself; a handler of its exit might keep it from that. */
  onFault(message: Extract<ThreadMessage, { readonly kind: "fault" }>): void;
  /** The job that the slot runs did not stop. */
  kill(slot: Slot): void;
  /** The event loop of the thread has stood still for `stillMs`, and may for `restMs` more. */
  onStalled(threadId: number, stillMs: number, restMs: number): Promise<void>;
  /** The run of the slot was rejected: its thread ended, or is ended now, unless its chunk never got one. */
  onDeath(slot: Slot, error: unknown): void;
  /** Takes back a chunk that no thread took. The thread that it was posted to, if any, takes nothing, and is ended. */
  abort(slot: Slot): void;
};

export type ThreadEndsParts = {
  readonly pool: string;
  readonly slots: Pick<Slots, "leaseOf" | "busy" | "quarantine">;
  readonly threadWith: (threadId: number) => Worker | undefined;
  readonly terminations: Pick<ThreadTerminations, "watch">;
  readonly stalls: Pick<Stalls, "pulseOf" | "standsStill">;
  readonly isStopping: () => boolean;
  readonly log: Log;
};

const maxErrorChars = 4000;
const never = new AbortController().signal;

export function createThreadEnds(parts: ThreadEndsParts): ThreadEnds {
  const { pool, slots, threadWith, terminations, stalls, isStopping, log } = parts;

  /** Those that have the thread, also where it has not taken their chunk. */
  const slotsOf = (threadId: number) =>
    threadId === 0 ? [] : [...slots.busy].filter(({ thread }) => thread === threadId);

  /** The fault is that of every slot which has none yet, but for `except`. Piscina replaces the thread at once, also when Node cannot end it. */
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

  /** The job that is to blame, of these, which ran when their thread ended or blocked; undefined: it is not known. */
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
      endThread(thread, { origin, failure });
    },
    kill(slot) {
      // it cannot stop while the loop stands still, perhaps by another job: `onStalled` finds out
      const isBlocked = slotsOf(slot.thread).length > 1 && stalls.standsStill(slot.thread);
      if (isBlocked && !isStopping()) return;
      const lease = slot.leases[slot.seen] as Lease;
      log.warn(jobFields(lease), "a job did not stop when it was told to: its worker is ended");
      const message = "another job did not stop when it was told to";
      endThread(slot.thread, { origin: lease, failure: { reason: "worker_died", message, retryable: true } }, slot);
    },
    async onStalled(threadId, halfMs, restMs) {
      const pulse = stalls.pulseOf(threadId);
      const since = pulse && turnedAt(pulse);
      const beganMs = systemClock.monotonicMs();
      let code: RunningCode | undefined;
      for (let changes = -1; pulse && ownerChanges(pulse) !== changes; ) {
        // else several jobs compute in turn, and none is known to do so for long
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
        // the thread's own code threw, of which a job has replaced something: it would throw in each chunk
        const failure = failureOf(error);
        log.warn({ pool, error: failure.message, stack: failure.stack }, faultText(null, []));
        return endThread(slot.thread, { origin: null, failure });
      }
      const those = slotsOf(slot.thread);
      const running = those.flatMap(runningOf);
      const culprit = culpritOf(slot.thread, running);
      const isUnknown = running.length > 1 && !culprit;
      log.warn(
        { ...(culprit ? jobFields(culprit) : { pool }), error: textOf(error, maxErrorChars) },
        isUnknown ? "a worker died, and it is not known by which of its jobs: they are handed back" : "a worker died",
      );
      // of one job that was alone the flags say all that is known
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

/** Fields for the log: a job's where the code is one's. */
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
  if (origin === null) return "a worker failed through unknown code, and is ended: what it runs is handed back";
  if (origin.id === null)
    return "what a task's file started failed, and its worker is ended: what it runs is handed back";
  return isUnderWay(origin, those)
    ? "a job threw an error that was not caught, and its worker is ended"
    : "what a job left behind failed, and its worker is ended: what it runs is handed back";
}

function stallText(origin: Origin | null, running: readonly Lease[]): string {
  if (origin !== null && running.some((lease) => isOf(origin, lease)))
    return "a job blocks its worker, which is ended: the other jobs that it runs are handed back";
  if (origin === null)
    return "a worker is blocked, and it is not known by which of its jobs: it is ended, and what it runs is handed back";
  return "what a job left behind blocks a worker, which is ended: what it runs is handed back";
}

function blockedFor(stillMs: number): Failure {
  const message = `the job blocked its worker for ${Math.round(stillMs)} ms, and the other jobs of that worker with it`;
  return { reason: "worker_blocked", message, retryable: true };
}
