/**
 * Renews all leases that this process holds. Jobs take no part in it: one that blocks its thread for a minute keeps its
 * lease, and one whose thread has died is no longer held.
 */
import type { Clock } from "../../clock.ts";
import type { Lease } from "../../job/job.ts";
import { jobFields } from "../../job/log-fields.ts";
import { createLoop, type Service } from "../../lifecycle.ts";
import type { Log } from "../../log.ts";
import type { Extended, Store } from "../../store/store.ts";

export type LeaseKeeperParts = {
  readonly store: Pick<Store, "extend">;
  readonly clock: Clock;
  /** How long a renewed lease lasts. */
  readonly leaseMs: number;
  /** The leases that this process holds. */
  readonly held: () => readonly Lease[];
  /** Asks a cancelled job to stop. */
  readonly cancel: (lease: Lease) => void;
  /** Another server has this job now. */
  readonly abandon: (lease: Lease) => void;
  /** Everything that was held at this time (monotonic clock) is leased for `leaseMs` from then on. */
  readonly renewed: (atMs: number) => void;
  readonly onError: (error: unknown) => number | undefined;
  readonly log: Log;
};

export type LeaseKeeper = Service & {
  /** Number of held leases that another process has settled, since the start. */
  lost(): number;
};

/** Leases per call of the store. */
const batch = 1_000;
/** Renewals per duration of a lease: two of them may fail. */
const renewalsPerLease = 3;

export function createLeaseKeeper(parts: LeaseKeeperParts): LeaseKeeper {
  const { store, clock, leaseMs } = parts;
  const loop = createLoop({
    ...{ name: "lease-keeper", clock, everyMs: leaseMs / renewalsPerLease },
    ...{ round: renewAll, onError: parts.onError },
  });
  let lost = 0;

  async function renewAll(): Promise<void> {
    const leases = parts.held();
    const atMs = clock.monotonicMs();
    for (let start = 0; loop.isRunning() && start < leases.length; start += batch) {
      await renew(leases.slice(start, start + batch));
    }
    parts.renewed(atMs);
  }

  async function renew(leases: readonly Lease[]): Promise<void> {
    const held = leases.map(({ seq, fence }) => ({ seq, fence }));
    const answers = await store.extend({ leases: held, now: clock.now(), leaseMs });
    // leases that were settled during the call are "lost", too, and do not matter
    const stillHeld = answers.every((answer) => answer === "held") ? null : new Set(parts.held().map(nameOf));
    for (const [index, lease] of leases.entries()) {
      if (stillHeld?.has(nameOf(lease))) act(lease, answers[index] as Extended);
    }
  }

  function act(lease: Lease, answer: Extended): void {
    if (answer === "held") return;
    if (answer === "cancelling") return parts.cancel(lease);
    lost += 1;
    parts.log.warn(jobFields(lease), "the lease of a running job was lost: the attempt is stopped");
    parts.abandon(lease);
  }

  return { ...loop, lost: () => lost };
}

const nameOf = ({ seq, fence }: Lease) => `${seq}:${fence}`;
