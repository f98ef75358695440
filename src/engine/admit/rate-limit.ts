/**
 * How fast each client may submit: the generic cell rate algorithm (ITU-T I.371, "virtual scheduling"), which needs one
 * number per client. In any period `t`, at most `burst + perSecond · t` jobs are admitted, restarts included: a limiter
 * starts as if every client had just used its burst.
 */
import type { Clock } from "../../clock.ts";

/** Jobs per second, and at once after a pause. `perSecond` 0: no limit. */
export type Rate = { readonly perSecond: number; readonly burst: number };

export type Rates = Rate & {
  /** Rates of single clients, instead of the general one. */
  readonly clients: { readonly [client: string]: Rate };
};

export type RateLimit = {
  rateOf(client: string): Rate;
  /**
   * Takes `jobs` from the client's allowance, all or none. Returns 0 if taken, otherwise the milliseconds until the
   * request could be granted; Infinity: it exceeds the burst, and never can.
   */
  take(client: string, jobs: number): number;
};

/** At this many entries, those of clients that may send a whole burst again are removed, because they need none. */
const purgeAt = 10_000;

export function createRateLimit(rates: Rates, clock: Clock): RateLimit {
  const startedAt = clock.monotonicMs();
  /** When each client's allowance is full again. */
  const fullAt = new Map<string, number>();
  let purgeSize = purgeAt;

  const rateOf = (client: string): Rate =>
    (Object.hasOwn(rates.clients, client) ? rates.clients[client] : undefined) ?? rates;

  function purge(now: number): void {
    for (const [client, at] of fullAt) if (at <= now) fullAt.delete(client);
    purgeSize = Math.max(purgeAt, fullAt.size * 2);
  }

  return {
    rateOf,
    take(client, jobs) {
      const { perSecond, burst } = rateOf(client);
      if (perSecond === 0) return 0;
      if (jobs > burst) return Number.POSITIVE_INFINITY;
      const now = clock.monotonicMs();
      const intervalMs = 1000 / perSecond;
      const unseen = startedAt + burst * intervalMs;
      const next = Math.max(fullAt.get(client) ?? unseen, now) + jobs * intervalMs;
      const waitMs = next - now - burst * intervalMs;
      if (waitMs > 1e-6) return waitMs; // sums of fractions are off by less
      if (fullAt.size >= purgeSize) purge(now);
      fullAt.set(client, next);
      return 0;
    },
  };
}
