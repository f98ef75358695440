/** Bugs as wrappers around a port of the engine. */
import type { Clock } from "../../../src/clock.ts";
import type { Ended, Pool } from "../../../src/pool/port.ts";
import type { AckRequest, Store, Submission, Submitted } from "../../../src/store/store.ts";
import type { Random } from "../random.ts";
import type { World } from "../simulation/world.ts";

/** The store of a simulation is no plain object, so what is not replaced is asked of it call by call. */
function instead(store: Store, replaced: Partial<Store>): Store {
  return new Proxy(store, {
    get: (target, method) => replaced[method as keyof Store] ?? target[method as keyof Store],
  });
}

/** Only for jobs that are surely new, so that nothing but the order is wrong. */
export function answeredBeforeCommitted(store: Store): Store {
  const seen = new Set<string>();
  return instead(store, {
    submit(jobs) {
      const areNew = jobs.every(({ job }) => !seen.has(job.id) && job.idempotencyKey === null);
      for (const { job } of jobs) seen.add(job.id);
      const committed = store.submit(jobs);
      if (!areNew) return committed;
      committed.catch(() => undefined);
      return Promise.resolve(acceptAll(jobs));
    },
  });
}

const acceptAll = (jobs: readonly Submission[]) => jobs.map((): Submitted => ({ kind: "accepted" }));

export function failureSwallowed(store: Store): Store {
  return instead(store, { submit: (jobs) => store.submit(jobs).catch(() => acceptAll(jobs)) });
}

export function ackedBeforeSaved(store: Store): Store {
  return instead(store, {
    ack(requests: readonly AckRequest[]) {
      store.ack(requests).catch(() => undefined);
      return Promise.resolve(requests.map(({ cursor }) => ({ kind: "acknowledged", cursor }) as const));
    },
  });
}

/** As if the lease had not written the attempt's number. */
export function uncountedWhenLost(store: Store): Store {
  return instead(store, {
    expired: async (request) =>
      (await store.expired(request)).map((lease) => ({ ...lease, attempt: lease.attempt - 1 })),
  });
}

export const seldomSynced = (random: Random) => () => random.isLucky(0.1);

export const byWallClock = (clock: Clock, world: World): Clock => ({ ...clock, now: () => Math.floor(world.wallMs()) });

export function neverRefilled(pool: Pool): Pool {
  let gone = 0;
  return {
    ...pool,
    free: () => Math.max(pool.free() - gone, 0),
    run: (leases, callbacks) =>
      pool.run(leases, {
        ...callbacks,
        onEnded(ended) {
          const isDead = ({ outcome }: Ended) => outcome.kind === "failed" && outcome.failure.reason === "worker_died";
          if (ended.some(isDead)) gone += 1;
          callbacks.onEnded(ended);
        },
      }),
  };
}
