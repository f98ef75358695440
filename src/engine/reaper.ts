/** Settles attempts that nobody will settle any more: those of processes that died. */
import type { Clock } from "../clock.ts";
import type { Lease } from "../job/job.ts";
import type { Ended } from "../pool/pool.ts";
import type { Store } from "../store/store.ts";

export type ReaperParts = {
  readonly store: Pick<Store, "expired">;
  readonly clock: Clock;
  readonly owner: string;
  readonly settle: (ended: readonly Ended[]) => void;
  /** Resolves once everything handed to `settle` is written. */
  readonly flush: () => Promise<void>;
};

const batch = 1_000;

/**
 * Gives the jobs of dead processes back, once, before this process leases its first. Resolves with their number, after
 * they are durable, so that each run of a job that kills its process is counted before the next one starts.
 */
export async function recoverLost(parts: ReaperParts): Promise<number> {
  let recovered = 0;
  for (;;) {
    const leases = await parts.store.expired({ owner: parts.owner, limit: batch });
    if (leases.length === 0) return recovered;
    parts.settle(leases.map((lease) => lostBy(lease, parts.clock.now())));
    await parts.flush();
    recovered += leases.length;
  }
}

function lostBy(lease: Lease, now: number): Ended {
  return { lease, outcome: { kind: "lost", crashed: true }, startedAt: now, finishedAt: now, tookMs: 0 };
}
