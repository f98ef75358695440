/** Writes how attempts ended, and tells those who wait for it. */
import type { RetryPolicy } from "../job/backoff.ts";
import type { Settlement } from "../job/job.ts";
import { isFinal } from "../job/job.ts";
import { transition } from "../job/transition.ts";
import { createSignal, type Signal } from "../lifecycle.ts";
import type { Ended } from "../pool/pool.ts";
import type { Store } from "../store/store.ts";
import type { Backlog } from "./backlog.ts";

export type Settler = {
  settle(ended: readonly Ended[]): void;
  /** Whether so many outcomes wait to be written that no new job should start. */
  isBehind(): boolean;
  /** Resolves once everything that was handed in is written. */
  flush(): Promise<void>;
};

export type SettlerParts = {
  readonly store: Pick<Store, "settle">;
  readonly backlog: Backlog;
  readonly policyOf: (task: string) => RetryPolicy;
  readonly random: () => number;
  /** Results of these channels are on their way into the store. */
  readonly hintResults: (client: string, channel: string) => void;
  /** Jobs of this pool wait again; the first is due at this time. */
  readonly hintPool: (pool: string, dueAt: number) => void;
  /** Outcomes are no longer piled up: `isBehind` turned false. */
  readonly onCaughtUp: () => void;
  /** Attempts that were written, with what was written for them. */
  readonly onSettled: (ended: readonly Ended[], settlements: readonly Settlement[]) => void;
  /** The store failed; the outcomes are lost, and the jobs will be run again by the next process. */
  readonly onError: (error: unknown) => void;
};

/** Bound on outcomes in memory: beyond it no job starts until the store has caught up. */
const maxPending = 4_096;

export function createSettler(parts: SettlerParts): Settler {
  const { store, backlog, policyOf, random } = parts;
  let pending = 0;
  let flushed: Signal | undefined;

  async function write(ended: readonly Ended[]): Promise<void> {
    const settlements = ended.map(({ lease, outcome, startedAt, finishedAt }) =>
      transition(lease, outcome, policyOf(lease.task), { startedAt, finishedAt }, random),
    );
    try {
      const answer = store.settle(settlements);
      hintChannels(ended, settlements); // readers ask at once, behind the settlement, and share its commit
      const applied = await answer;
      requeue(ended, settlements, applied);
      const isWritten = (_: unknown, index: number) => applied[index] === true;
      if (applied.every(Boolean)) parts.onSettled(ended, settlements);
      else parts.onSettled(ended.filter(isWritten), settlements.filter(isWritten));
    } catch (error) {
      parts.onError(error);
    } finally {
      const wasBehind = pending >= maxPending;
      pending -= ended.length;
      if (wasBehind && pending < maxPending) parts.onCaughtUp();
      if (pending === 0) {
        flushed?.fire();
        flushed = undefined; // whoever asks from now on waits for what comes from now on
      }
    }
  }

  function hintChannels(ended: readonly Ended[], settlements: readonly Settlement[]): void {
    let last: Ended | undefined;
    for (const [index, each] of ended.entries()) {
      const isSame = last && last.lease.channel === each.lease.channel && last.lease.client === each.lease.client;
      if (isSame || !isFinal((settlements[index] as Settlement).state)) continue;
      last = each;
      parts.hintResults(each.lease.client, each.lease.channel);
    }
  }

  function requeue(ended: readonly Ended[], settlements: readonly Settlement[], applied: readonly boolean[]): void {
    const dueAt = new Map<string, number>();
    for (const [index, { state, runAt }] of settlements.entries()) {
      if (state !== "QUEUED" || !applied[index]) continue;
      const { pool } = (ended[index] as Ended).lease;
      backlog.change(pool, 1);
      dueAt.set(pool, Math.min(runAt, dueAt.get(pool) ?? runAt));
    }
    for (const [pool, at] of dueAt) parts.hintPool(pool, at);
  }

  return {
    settle(ended) {
      if (ended.length === 0) return;
      pending += ended.length;
      void write(ended);
    },
    isBehind: () => pending >= maxPending,
    async flush() {
      if (pending === 0) return;
      flushed ??= createSignal();
      await flushed.promise;
    },
  };
}
