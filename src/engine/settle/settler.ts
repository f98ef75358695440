/** Writes how attempts ended, and notifies readers and watches. */
import type { RetryPolicy } from "../../job/backoff.ts";
import { type DeadReason, type Failure, isFinal, type Lease, type Settlement } from "../../job/job.ts";
import { transition } from "../../job/transition.ts";
import { createSignal, type Signal } from "../../lifecycle.ts";
import type { Ended } from "../../pool/pool.ts";
import type { Settled, Store } from "../../store/store.ts";
import type { Death } from "./alerts.ts";
import type { Backlog } from "../admit/backlog.ts";
import type { Watchers } from "../watch/watchers.ts";

export type Settler = {
  settle(ended: readonly Ended[]): void;
  /** Whether too many outcomes wait to be written for a new job to start. */
  isBehind(): boolean;
  /** How many attempts of a pool have ended, and their outcome is not written yet. */
  unwritten(pool: string): number;
  /** Resolves once everything that was handed in is written. */
  flush(): Promise<void>;
};

export type SettlerParts = {
  readonly store: Pick<Store, "settle">;
  readonly backlog: Backlog;
  /** The task's policy; what the job itself asked for goes before it. */
  readonly policyOf: (task: string) => RetryPolicy;
  readonly random: () => number;
  /** Results of these channels are on their way into the store. */
  readonly hintResults: (client: string, channel: string) => void;
  readonly watchers: Pick<Watchers, "isWatched" | "changed">;
  /** Jobs of this pool wait again; the first is due at this time. */
  readonly hintPool: (pool: string, dueAt: number) => void;
  /** Outcomes are no longer piled up: `isBehind` turned false. */
  readonly onCaughtUp: () => void;
  /** Attempts that were written, with what was written for them. */
  readonly onSettled: (ended: readonly Ended[], settlements: readonly Settlement[]) => void;
  /** Jobs that are DEAD now. */
  readonly onDeath: (deaths: readonly Death[]) => void;
  /** The store failed; the outcomes are lost, and the jobs will be run again by the next process. */
  readonly onError: (error: unknown) => void;
};

/** Bound on outcomes in memory: beyond it no job starts until the store has caught up. */
const maxPending = 4_096;

export function createSettler(parts: SettlerParts): Settler {
  const { store, backlog, policyOf, random } = parts;
  let pending = 0;
  const pendingIn = new Map<string, number>();
  let flushed: Signal | undefined;

  function settle(ended: readonly Ended[]): void {
    if (ended.length === 0) return;
    const settlements = ended.map(settlementOf);
    change(ended, 1);
    void write(ended, settlements);
  }

  function change(ended: readonly Ended[], by: 1 | -1): void {
    pending += by * ended.length;
    for (const { lease } of ended) pendingIn.set(lease.pool, (pendingIn.get(lease.pool) ?? 0) + by);
  }

  function settlementOf({ lease, outcome, startedAt, finishedAt }: Ended): Settlement {
    const policy = policyOf(lease.task);
    const own = lease.options?.retry;
    const stored = { startedAt: Math.floor(startedAt), finishedAt: Math.floor(finishedAt) }; // whole milliseconds
    return transition(lease, outcome, own ? { ...policy, ...own } : policy, stored, random);
  }

  async function write(ended: readonly Ended[], settlements: readonly Settlement[]): Promise<void> {
    try {
      const answer = store.settle(settlements);
      announce(ended, settlements); // who reads asks at once, behind the settlement, and shares its commit
      let answers: readonly Settled[] | undefined;
      try {
        answers = await answer;
      } catch (error) {
        parts.onError(error);
      }
      if (answers) conclude(ended, settlements, answers);
    } finally {
      const wasBehind = pending >= maxPending;
      change(ended, -1);
      if (wasBehind && pending < maxPending) parts.onCaughtUp();
      if (pending === 0) {
        flushed?.fire();
        flushed = undefined; // whoever asks from now on waits for what comes from now on
      }
    }
  }

  function conclude(ended: readonly Ended[], settlements: readonly Settlement[], answers: readonly Settled[]): void {
    if (answers.every((answer) => answer === "written")) return applied(ended, settlements);
    // they were cancelled while they ran, and must not be queued again; the flush waits for these too
    settle(ended.filter((_, index) => answers[index] === "cancelling").map(cancelling));
    const isWritten = (_: unknown, index: number) => answers[index] === "written";
    applied(ended.filter(isWritten), settlements.filter(isWritten));
  }

  function applied(ended: readonly Ended[], settlements: readonly Settlement[]): void {
    requeue(ended, settlements);
    parts.onSettled(ended, settlements);
    if (settlements.some(({ state }) => state === "DEAD")) {
      parts.onDeath(settlements.flatMap((settlement, index) => deathOf(ended[index] as Ended, settlement)));
    }
  }

  function announce(ended: readonly Ended[], settlements: readonly Settlement[]): void {
    if (parts.watchers.isWatched()) parts.watchers.changed(ended.map(({ lease }) => lease));
    let last: Lease | undefined;
    for (const [index, { lease }] of ended.entries()) {
      const { client, channel } = lease;
      if (channel === null || (last?.channel === channel && last.client === client)) continue;
      if (!isFinal((settlements[index] as Settlement).state)) continue;
      last = lease;
      parts.hintResults(client, channel);
    }
  }

  function requeue(ended: readonly Ended[], settlements: readonly Settlement[]): void {
    const dueAt = new Map<string, number>();
    for (const [index, { state, runAt }] of settlements.entries()) {
      if (state !== "QUEUED") continue;
      const { pool } = (ended[index] as Ended).lease;
      backlog.change(pool, 1);
      dueAt.set(pool, Math.min(runAt, dueAt.get(pool) ?? runAt));
    }
    for (const [pool, at] of dueAt) parts.hintPool(pool, at);
  }

  return {
    settle,
    isBehind: () => pending >= maxPending,
    unwritten: (pool) => pendingIn.get(pool) ?? 0,
    async flush() {
      if (pending === 0) return;
      flushed ??= createSignal();
      await flushed.promise;
    },
  };
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
