/**
 * Settles jobs that no attempt will settle: those whose lease or process has ended, and those whose deadline has
 * passed.
 */
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

/** Jobs per call of the store. */
const page = 1_000;

/**
 * Settles the attempts of dead processes as lost, once, before this process leases its first job. Resolves with their
 * number once that is durable, so that each run of a job that kills its process is counted before the next one starts.
 */
export async function recoverLost({ store, clock, settle, flush }: RecoveryParts): Promise<number> {
  let recovered = 0;
  let before: Held | undefined;
  for (;;) {
    const now = clock.now();
    const leases = await store.expired({ now, limit: page });
    const [first] = leases;
    if (!first) return recovered;
    // the previous page was settled, or the store failed, which rejects: without this check a bug would loop forever
    if (before && first.seq === before.seq && first.fence === before.fence) {
      throw new Error(`job ${first.id} cannot be recovered: its settlement was refused`);
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
  /** Every pool that has jobs, configured or not. */
  readonly pools: () => readonly string[];
  readonly backlog: Pick<Backlog, "change">;
  readonly leaseMs: number;
  /** Leases that this process holds: the lease-keeper renews them. */
  readonly held: () => readonly Held[];
  /** Whether nothing more may be settled because too many outcomes wait to be written. */
  readonly isBehind: () => boolean;
  readonly onError: (error: unknown) => number | undefined;
};

const everyMs = 1_000;
/** Bound on the pages of each kind per round, so that the store serves other calls in between. */
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

  /** Leases that this process holds are never lost: after a long suspension they may have ended, and are renewed. */
  async function settleLost(): Promise<void> {
    for (let pages = 0; mayGoOn(pages); pages += 1) {
      const now = clock.now();
      const leases = await store.expired({ now, limit: page });
      if (leases.length === 0) return;
      const held = new Map(parts.held().map(({ seq, fence }) => [seq, fence]));
      const unheld = leases.filter(({ seq, fence }) => held.get(seq) !== fence);
      if (unheld.length === 0) return;
      settle(unheld.map((lease) => lost(lease, now))); // if they are in the next page again, their settlements are stale
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

/** Jobs that ran when their process died become suspects after some deaths; a lease that just ended blames no job. */
function lost(lease: ExpiredLease, now: number): Ended {
  return unrun(lease, { kind: "lost", died: lease.isOwnerGone ? "server" : null }, now);
}
