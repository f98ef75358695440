/**
 * Writes the outcomes of attempts. Each batch is sent to the store as it arrives. While the store is unavailable,
 * batches wait here in order, and are written together once it is available again. They wait for at most the duration
 * of a lease, because afterwards another server may run the job. Writing an outcome twice or late does no harm: its
 * fence is refused.
 */
import type { Clock } from "../../clock.ts";
import type { RetryPolicy } from "../../job/backoff.ts";
import type { DeadReason, Failure, Lease, Settlement } from "../../job/job.ts";
import { encodeEnding } from "../../job/ending.ts";
import { transition } from "../../job/transition.ts";
import { createSignal, type Signal } from "../../lifecycle.ts";
import type { Log } from "../../log.ts";
import type { Ended } from "../../pool/pool.ts";
import type { Settled, Settling, Store } from "../../store/store.ts";
import type { Backlog } from "../admit/backlog.ts";
import type { Death } from "./alerts.ts";

export type Settler = {
  settle(ended: readonly Ended[]): void;
  /** Whether no job may start because too many outcomes wait to be written. */
  isBehind(): boolean;
  /** Number of a pool's ended attempts whose outcome is not written yet. */
  unwritten(pool: string): number;
  /** Number of those whose jobs will be QUEUED again. */
  returning(pool: string): number;
  /** The leases of all such attempts, which are renewed until their outcomes are written. */
  held(): Lease[];
  /** Resolves once all outcomes so far are written or given up. */
  flush(): Promise<void>;
};

export type SettlerParts = {
  readonly store: Pick<Store, "settle">;
  readonly backlog: Pick<Backlog, "change">;
  readonly clock: Pick<Clock, "monotonicMs" | "after">;
  readonly leaseMs: number;
  /** The task's retry policy, which the job's own changes override. */
  readonly policyOf: (task: string) => RetryPolicy;
  readonly random: () => number;
  /** Called when `isBehind` has become false. */
  readonly onCaughtUp: () => void;
  /** Called with attempts whose outcomes were written, and what was written. */
  readonly onSettled: (ended: readonly Ended[], settlements: readonly Settlement[]) => void;
  /** Called with jobs that have become DEAD. */
  readonly onDeath: (deaths: readonly Death[]) => void;
  /**
   * Handles a failed call of the store. Returns the delay of the next try in milliseconds; undefined: there is none,
   * and the next process runs the jobs again.
   */
  readonly onError: (error: unknown) => number | undefined;
  readonly log: Log;
};

/** Outcomes that are written together. */
type Batch = {
  readonly ended: readonly Ended[];
  readonly settlements: readonly Settlement[];
  /** The settlements in the form that the store takes. */
  readonly settlings: readonly Settling[];
  /** When they are given up (monotonic clock). */
  readonly untilMs: number;
};

/** Bound on outcomes in memory: beyond it no job starts until the store has caught up. */
const maxPending = 4_096;

export function createSettler(parts: SettlerParts): Settler {
  const { store, backlog, clock, policyOf, random } = parts;
  let pending = 0;
  const pendingIn = new Map<string, number>();
  /** Batches whose outcomes are not written yet: their first call is pending, or they wait. */
  const unwritten = new Set<Batch>();
  /** Batches that wait for the store to be available again. */
  const waiting: Batch[] = [];
  let flushed: Signal | undefined;

  function settle(ended: readonly Ended[]): void {
    if (ended.length === 0) return;
    const settlements = ended.map(settlementOf);
    const settlings = settlements.map((settlement, index) => settlingOf(ended[index] as Ended, settlement));
    const batch = { ended, settlements, settlings, untilMs: clock.monotonicMs() + parts.leaseMs };
    unwritten.add(batch);
    change(ended, 1);
    if (waiting.length > 0) waiting.push(batch);
    else void write(batch);
  }

  function change(ended: readonly Ended[], by: 1 | -1): void {
    pending += by * ended.length;
    for (const { lease } of ended) pendingIn.set(lease.pool, (pendingIn.get(lease.pool) ?? 0) + by);
  }

  function settlementOf({ lease, outcome, startedAt, finishedAt }: Ended): Settlement {
    const policy = policyOf(lease.task);
    const own = lease.retry;
    const stored = { startedAt: Math.floor(startedAt), finishedAt: Math.floor(finishedAt) }; // the store keeps whole milliseconds
    return transition(lease, outcome, own ? { ...policy, ...own } : policy, stored, random);
  }

  async function write(batch: Batch): Promise<void> {
    let answers: readonly Settled[] | undefined;
    try {
      answers = await store.settle(batch.settlings);
    } catch (error) {
      const retryMs = parts.onError(error);
      if (retryMs !== undefined) return retryLater(batch, retryMs);
    }
    finish([batch], answers);
  }

  function retryLater(batch: Batch, retryMs: number): void {
    waiting.push(batch);
    if (waiting.length === 1) clock.after(retryMs, () => void writeWaiting());
  }

  /**
   * Writes all waiting batches in one call, until none waits. Schedules itself again while the store is unavailable.
   */
  async function writeWaiting(): Promise<void> {
    for (giveUp(); waiting.length > 0; giveUp()) {
      const batches = [...waiting];
      let answers: readonly Settled[] | undefined;
      try {
        answers = await store.settle(batches.flatMap(({ settlings }) => settlings));
      } catch (error) {
        const retryMs = parts.onError(error);
        if (retryMs !== undefined) {
          clock.after(retryMs, () => void writeWaiting());
          return;
        }
      }
      waiting.splice(0, batches.length);
      finish(batches, answers);
    }
  }

  /** Drops batches that have waited for longer than their leases can last. */
  function giveUp(): void {
    const nowMs = clock.monotonicMs();
    const given = waiting.filter(({ untilMs }) => untilMs <= nowMs);
    if (given.length === 0) return;
    waiting.splice(0, waiting.length, ...waiting.filter(({ untilMs }) => untilMs > nowMs));
    const jobs = given.reduce((sum, { ended }) => sum + ended.length, 0);
    parts.log.warn({ jobs }, "outcomes could not be written before their leases ended: these jobs run again");
    finish(given, undefined);
  }

  /** `answers`: those to all settlements of these batches, concatenated; undefined: they were not written. */
  function finish(batches: readonly Batch[], answers: readonly Settled[] | undefined): void {
    const wasBehind = pending >= maxPending;
    let first = 0;
    for (const batch of batches) {
      const { ended, settlements } = batch;
      unwritten.delete(batch);
      try {
        if (answers) conclude(ended, settlements, answers.slice(first, first + ended.length));
      } finally {
        first += ended.length;
        change(ended, -1);
      }
    }
    if (wasBehind && pending < maxPending) parts.onCaughtUp();
    if (pending > 0) return;
    flushed?.fire();
    flushed = undefined; // later calls wait for later outcomes
  }

  function conclude(ended: readonly Ended[], settlements: readonly Settlement[], answers: readonly Settled[]): void {
    if (answers.every((answer) => answer === "written")) return applied(ended, settlements);
    // jobs that were cancelled while they ran must not be queued again; a flush waits for them, too
    settle(ended.filter((_, index) => answers[index] === "cancelling").map(cancelling));
    const isWritten = (_: unknown, index: number) => answers[index] === "written";
    applied(ended.filter(isWritten), settlements.filter(isWritten));
  }

  function applied(ended: readonly Ended[], settlements: readonly Settlement[]): void {
    for (const { state, pool } of settlements) if (state === "QUEUED") backlog.change(pool, 1);
    parts.onSettled(ended, settlements);
    if (settlements.some(({ state }) => state === "DEAD")) {
      parts.onDeath(settlements.flatMap((settlement, index) => deathOf(ended[index] as Ended, settlement)));
    }
  }

  return {
    settle,
    isBehind: () => pending >= maxPending,
    unwritten: (pool) => pendingIn.get(pool) ?? 0,
    returning: (pool) =>
      [...unwritten]
        .flatMap(({ settlements }) => settlements)
        .filter((each) => each.pool === pool && each.state === "QUEUED").length,
    held: () => [...unwritten].flatMap(({ ended }) => ended.map(({ lease }) => lease)),
    async flush() {
      if (pending === 0) return;
      flushed ??= createSignal();
      await flushed.promise;
    },
  };
}

/** A released attempt leaves no ending. */
function settlingOf({ lease }: Ended, settlement: Settlement): Settling {
  return { settlement, ending: settlement.outcome === "released" ? null : encodeEnding(lease, settlement) };
}

function cancelling(ended: Ended): Ended {
  return { ...ended, lease: { ...ended.lease, isCancelling: true } };
}

function deathOf({ lease }: Ended, { state, deadReason, failure, attempt, finishedAt }: Settlement): Death[] {
  if (state !== "DEAD") return [];
  const { id, client, task, pool, fence, trace } = lease;
  const why = { deadReason: deadReason as DeadReason, failure: failure as Failure };
  return [{ id, client, task, pool, ...why, attempts: attempt, fence, trace, at: finishedAt }];
}
