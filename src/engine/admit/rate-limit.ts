/**
 * How fast each client may submit: the generic cell rate algorithm (ITU-T I.371, "virtual scheduling"), which needs one
 * number a client. Over every span of time `t`, at most `burst + perSecond · t` jobs are admitted, restarts included:
 * a limiter starts empty, as if every client had just used up its burst.
 */
import type { Clock } from "../../clock.ts";

/** Jobs per second, and how many at once after a pause. `perSecond` 0 means no limit. */
export type Rate = { readonly perSecond: number; readonly burst: number };

export type Rates = Rate & {
  /** Rates of single clients, in place of the general one. */
  readonly clients: { readonly [client: string]: Rate };
};

export type RateLimit = {
  rateOf(client: string): Rate;
  /**
   * Takes `jobs` from the client's allowance, all or none. 0: taken. Otherwise the milliseconds until the same request
   * could be granted; Infinity when it is larger than the burst and never can.
   */
  take(client: string, jobs: number): number;
};

/** A client that could send its whole burst again needs no entry: such entries are removed when there are this many. */
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
