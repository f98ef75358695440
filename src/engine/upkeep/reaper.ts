/** Settles jobs that no attempt will settle: those whose lease ended, by itself or with its process, and those whose deadline passed. */
import type { Clock } from "../../clock.ts";
import type { ExpiredLease, Held, Store } from "../../store/store.ts";
import { createLoop, type Service } from "../../lifecycle.ts";
import type { Ended } from "../../pool/pool.ts";
import type { Backlog } from "../admit/backlog.ts";
import { unrun } from "../dispatch/in-flight.ts";

export type RecoveryParts = {
  readonly store: Pick<Store, "expired">;
  readonly clock: Clock;
  readonly settle: (ended: readonly Ended[]) => void;
  /** Resolves once everything handed to `settle` is written. */
  readonly flush: () => Promise<void>;
};

/** Jobs of one call to the store. */
const page = 1_000;

/**
 * Gives the jobs of dead processes back, once, before this process leases its first. Resolves with their number, after
 * they are durable, so that each run of a job that kills its process is counted before the next one starts.
 */
export async function recoverLost({ store, clock, settle, flush }: RecoveryParts): Promise<number> {
  let recovered = 0;
  let before: Held | undefined;
  for (;;) {
    const now = clock.now();
    const leases = await store.expired({ now, limit: page });
    const [first] = leases;
    if (!first) return recovered;
    // the page before was settled, or the store failed, which rejects: without this a fault here would never end
    if (before && first.seq === before.seq && first.fence === before.fence) {
      throw new Error(`job ${first.id} cannot be given back: its settlement was refused`);
    }
    before = first;
    settle(leases.map((lease) => lost(lease, now)));
    await flush();
    recovered += leases.length;
  }
}

export type ReaperParts = Omit<RecoveryParts, "flush"> & {
  readonly store: Pick<Store, "expired" | "lease">;
  readonly owner: string;
  /** Every pool that has jobs, those that are not configured too. */
  readonly pools: () => readonly string[];
  readonly backlog: Pick<Backlog, "change">;
  readonly leaseMs: number;
  /** Leases of this process that are run, or wait for a worker: the lease-keeper answers for them. */
  readonly held: () => readonly Held[];
  /** Whether too many outcomes wait to be written for more to come. */
  readonly isBehind: () => boolean;
  readonly onError: (error: unknown) => number | undefined;
};

const everyMs = 1_000;
/** Pages of one kind in one round: what is more waits for the next, so that the store serves others in between. */
const maxPages = 10;

/** Runs about once a second. */
export function createReaper(parts: ReaperParts): Service {
  const { store, clock, owner, settle } = parts;
  const loop = createLoop({
    ...{ name: "reaper", clock, everyMs, onError: parts.onError },
    async round() {
      await settleLost();
      for (const pool of parts.pools()) await settleExpired(pool);
    },
  });

  /** What this process holds is never lost: after a long standstill its leases may be past, and are renewed. */
  async function settleLost(): Promise<void> {
    for (let pages = 0; mayGoOn(pages); pages += 1) {
      const now = clock.now();
      const leases = await store.expired({ now, limit: page });
      if (leases.length === 0) return;
      const held = new Map(parts.held().map(({ seq, fence }) => [seq, fence]));
      const unheld = leases.filter(({ seq, fence }) => held.get(seq) !== fence);
      if (unheld.length === 0) return;
      settle(unheld.map((lease) => lost(lease, now))); // the next page is without them, or its settlements are stale
      if (leases.length < page) return;
    }
  }

  async function settleExpired(pool: string): Promise<void> {
    for (let pages = 0; mayGoOn(pages); pages += 1) {
      const now = clock.now();
      const request = { pool, owner, now, leaseMs: parts.leaseMs, limit: page, onlyExpired: true };
      const { leases } = await store.lease(request);
      if (leases.length === 0) return;
      parts.backlog.change(pool, -leases.length);
      settle(leases.map((lease) => unrun(lease, { kind: "expired", hasStarted: false }, now)));
      if (leases.length < page) return;
    }
  }

  const mayGoOn = (pages: number) => loop.isRunning() && pages < maxPages && !parts.isBehind();

  return loop;
}

/** Jobs that ran when their process died become suspects in the end; a lease that only ran out accuses nobody. */
function lost(lease: ExpiredLease, now: number): Ended {
  return unrun(lease, { kind: "lost", died: lease.isOwnerGone ? "server" : null }, now);
}
