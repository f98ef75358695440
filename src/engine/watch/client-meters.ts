/** The counters of each client. Bounded, because clients choose their own names. */
import { createDurationWindow, type DurationWindow, type Percentiles } from "./percentiles.ts";
import { createRateMeter, type RateMeter } from "./rate-meter.ts";
import { createRecent } from "./recent.ts";
import type { Written } from "./task-meter.ts";

export type RefusedJobs = { readonly reason: string; readonly jobs: number };

/**
 * Counts since the start of the server, or since the client's numbers were last dropped; rates over the last ten
 * seconds, percentiles over the last minute or two.
 */
export type ClientNumbers = ClientCounts & {
  readonly client: string;
  /** The most frequent reason first. */
  readonly refusedBy: readonly RefusedJobs[];
  readonly acceptedPerSecond: number;
  readonly finishedPerSecond: number;
  readonly queueWait: Percentiles;
  readonly execution: Percentiles;
  readonly endToEnd: Percentiles;
};

type ClientCounts = {
  readonly accepted: number;
  readonly duplicates: number;
  readonly refused: number;
  readonly succeeded: number;
  readonly dead: number;
  readonly cancelled: number;
  readonly retries: number;
  readonly throttledMs: number;
};

export type ClientMeters = {
  admitted(client: string, outcome: "accepted" | "duplicate", jobs: number, now: number): void;
  refused(client: string, reason: string, jobs: number, now: number): void;
  throttled(client: string, ms: number, now: number): void;
  written(client: string, written: Written, now: number): void;
  cancelled(client: string, now: number): void;
  read(client: string, now: number): ClientNumbers;
  /** The clients with the most accepted and finished jobs in the last ten seconds, then since the start. */
  busiest(limit: number, now: number): readonly ClientNumbers[];
  /** Number of clients that have numbers. */
  known(): number;
};

/** Bound on clients with numbers, by their latest jobs: clients choose their names, which must not fill the memory. */
const maxClients = 10_000;
/** Bound on clients without any job. They are separate, so that made-up names do not displace clients with jobs. */
const maxOnlyRefused = 1_000;
/** Bound on clients with rates and percentiles, which take about 8 KiB each. */
const maxSpeeds = 1_000;
/**
 * After this long without a job, a client's place may be taken by another. Not earlier, because if more clients took
 * turns, none would have any rates.
 */
const quietMs = 10_000;
/** Percentiles are off by 6 % at most. */
const bits = 3;

type Meter = {
  readonly client: string;
  readonly counts: { -readonly [K in keyof ClientCounts]: ClientCounts[K] };
  readonly refusedBy: Map<string, number>;
};
type Speed = {
  readonly accepted: RateMeter;
  readonly finished: RateMeter;
  readonly queueWait: DurationWindow;
  readonly execution: DurationWindow;
  readonly endToEnd: DurationWindow;
};

export function createClientMeters(): ClientMeters {
  const onlyRefused = createRecent(maxOnlyRefused, createMeter);
  const meters = createRecent(maxClients, (client) => onlyRefused.take(client) ?? createMeter(client));
  const speeds = createRecent(maxSpeeds, (_client, now) => createSpeed(now));

  /** The meter of a client that may never have had a job. */
  const callerOf = (client: string, now: number) => (meters.get(client) ? meters : onlyRefused).use(client, now);
  const speedOf = (client: string, now: number) => speeds.useIfQuiet(client, now, quietMs);
  const all = () => [...meters.values(), ...onlyRefused.values()];

  return {
    admitted(client, outcome, jobs, now) {
      const { counts } = meters.use(client, now);
      if (outcome === "duplicate") counts.duplicates += jobs;
      else {
        counts.accepted += jobs;
        speedOf(client, now)?.accepted.count(now, jobs);
      }
    },
    refused(client, reason, jobs, now) {
      const { counts, refusedBy } = callerOf(client, now);
      counts.refused += jobs;
      refusedBy.set(reason, (refusedBy.get(reason) ?? 0) + jobs);
    },
    throttled(client, ms, now) {
      callerOf(client, now).counts.throttledMs += ms;
    },
    written(client, { settlement: { state }, isRetry, waitedMs, tookMs, endToEndMs }, now) {
      const { counts } = meters.use(client, now);
      if (isRetry) counts.retries += 1;
      const speed = speedOf(client, now);
      if (state !== "QUEUED") {
        counts[state === "SUCCEEDED" ? "succeeded" : state === "DEAD" ? "dead" : "cancelled"] += 1;
        speed?.finished.count(now, 1);
      }
      if (waitedMs === null || !speed) return;
      speed.queueWait.record(waitedMs, now);
      speed.execution.record(tookMs, now);
      if (endToEndMs !== null) speed.endToEnd.record(endToEndMs, now);
    },
    cancelled(client, now) {
      meters.use(client, now).counts.cancelled += 1;
      speedOf(client, now)?.finished.count(now, 1);
    },
    read: (client, now) =>
      numbersOf(meters.get(client) ?? onlyRefused.get(client) ?? createMeter(client), speeds.get(client), now),
    busiest: (limit, now) =>
      all()
        .map((meter) => ({ meter, ...activityOf(meter, speeds.get(meter.client), now) }))
        .sort((one, other) => other.perSecond - one.perSecond || other.jobs - one.jobs)
        .slice(0, limit)
        .map(({ meter }) => numbersOf(meter, speeds.get(meter.client), now)),
    known: () => meters.size() + onlyRefused.size(),
  };
}

function numbersOf({ client, counts, refusedBy }: Meter, speed: Speed | undefined, now: number): ClientNumbers {
  return {
    client,
    ...counts,
    refusedBy: [...refusedBy].map(([reason, jobs]) => ({ reason, jobs })).sort((one, other) => other.jobs - one.jobs),
    acceptedPerSecond: speed?.accepted.read(now) ?? 0,
    finishedPerSecond: speed?.finished.read(now) ?? 0,
    queueWait: speed?.queueWait.percentiles(now) ?? null,
    execution: speed?.execution.percentiles(now) ?? null,
    endToEnd: speed?.endToEnd.percentiles(now) ?? null,
  };
}

/** Measures how busy a client is: the current rate counts first. */
function activityOf({ counts }: Meter, speed: Speed | undefined, now: number) {
  const { accepted, succeeded, dead, cancelled, refused } = counts;
  return {
    perSecond: speed ? speed.accepted.read(now) + speed.finished.read(now) : 0,
    jobs: accepted + succeeded + dead + cancelled + refused,
  };
}

function createMeter(client: string): Meter {
  const counts = {
    accepted: 0,
    duplicates: 0,
    refused: 0,
    succeeded: 0,
    dead: 0,
    cancelled: 0,
    retries: 0,
    throttledMs: 0,
  };
  return { client, counts, refusedBy: new Map() };
}

function createSpeed(now: number): Speed {
  return {
    accepted: createRateMeter(),
    finished: createRateMeter(),
    queueWait: createDurationWindow(bits, now),
    execution: createDurationWindow(bits, now),
    endToEnd: createDurationWindow(bits, now),
  };
}
