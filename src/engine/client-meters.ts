/** What is counted of each client. Bounded, because clients name themselves. */
import { createDurationWindow, type DurationWindow, type Percentiles } from "./percentiles.ts";
import { createRateMeter, type RateMeter } from "./rate-meter.ts";
import type { Written } from "./task-meter.ts";

export type RefusedJobs = { readonly reason: string; readonly jobs: number };

/** Counts since the start of the server, rates over the last ten seconds, percentiles over the last minute or two. */
export type ClientNumbers = Counts & {
  readonly client: string;
  /** The most frequent first. */
  readonly refusedBy: readonly RefusedJobs[];
  readonly acceptedPerSecond: number;
  readonly finishedPerSecond: number;
  readonly queueWait: Percentiles;
  readonly execution: Percentiles;
  readonly endToEnd: Percentiles;
};

type Counts = {
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
  refused(client: string, reason: string, jobs: number): void;
  throttled(client: string, ms: number): void;
  written(client: string, written: Written, now: number): void;
  cancelled(client: string, now: number): void;
  read(client: string, now: number): ClientNumbers;
  /** Those with the most jobs accepted and finished in the last ten seconds, then since the start. */
  busiest(limit: number, now: number): readonly ClientNumbers[];
  /** How many clients there are numbers of. */
  known(): number;
};

/** Clients beyond this many are counted together, under the last name, so that names cannot fill the memory. */
const maxClients = 10_000;
const otherClients = "(others)";
/** Rates and percentiles, some 8 KiB, are kept of those clients that were busy last. */
const maxSpeeds = 1_000;
/** Percentiles are off by 6 % at most. */
const bits = 3;

type Meter = {
  readonly client: string;
  readonly counts: { -readonly [K in keyof Counts]: Counts[K] };
  readonly refusedBy: Map<string, number>;
  /** Null while it is none of those that were busy last. */
  speed: Speed | null;
  busyAt: number;
};
type Speed = {
  readonly accepted: RateMeter;
  readonly finished: RateMeter;
  readonly queueWait: DurationWindow;
  readonly execution: DurationWindow;
  readonly endToEnd: DurationWindow;
};

/** How long a client may be out of its place in the order of use. */
const orderMs = 1_000;

export function createClientMeters(): ClientMeters {
  const meters = new Map<string, Meter>();
  /** Those that have a speed, the one that was busy last at the end. */
  const busy = new Set<Meter>();
  /** Jobs of one client often come together. */
  let last = createMeter("");

  function meterOf(client: string): Meter {
    if (last.client === client) return last;
    const name = meters.has(client) || meters.size < maxClients ? client : otherClients;
    let meter = meters.get(name);
    if (!meter) meters.set(name, (meter = createMeter(name)));
    last = meter;
    return meter;
  }

  function speedOf(meter: Meter, now: number): Speed {
    if (meter.speed && now - meter.busyAt < orderMs) return meter.speed;
    meter.speed ??= createSpeed(now);
    meter.busyAt = now;
    busy.delete(meter);
    busy.add(meter);
    const [oldest] = busy;
    if (busy.size > maxSpeeds && oldest) {
      busy.delete(oldest);
      oldest.speed = null;
    }
    return meter.speed;
  }

  return {
    admitted(client, outcome, jobs, now) {
      const meter = meterOf(client);
      if (outcome === "duplicate") meter.counts.duplicates += jobs;
      else {
        meter.counts.accepted += jobs;
        speedOf(meter, now).accepted.count(now, jobs);
      }
    },
    refused(client, reason, jobs) {
      const { counts, refusedBy } = meterOf(client);
      counts.refused += jobs;
      refusedBy.set(reason, (refusedBy.get(reason) ?? 0) + jobs);
    },
    throttled(client, ms) {
      meterOf(client).counts.throttledMs += ms;
    },
    written(client, { settlement: { state }, isRetry, waitedMs, tookMs, endToEndMs }, now) {
      const meter = meterOf(client);
      if (isRetry) meter.counts.retries += 1;
      const speed = speedOf(meter, now);
      if (state !== "QUEUED") {
        meter.counts[state === "SUCCEEDED" ? "succeeded" : state === "DEAD" ? "dead" : "cancelled"] += 1;
        speed.finished.count(now, 1);
      }
      if (waitedMs === null) return;
      speed.queueWait.record(waitedMs, now);
      speed.execution.record(tookMs, now);
      if (endToEndMs !== null) speed.endToEnd.record(endToEndMs, now);
    },
    cancelled(client, now) {
      const meter = meterOf(client);
      meter.counts.cancelled += 1;
      speedOf(meter, now).finished.count(now, 1);
    },
    read: (client, now) => numbersOf(meters.get(client) ?? createMeter(client), now),
    busiest: (limit, now) =>
      [...meters.values()]
        .map((meter) => ({ meter, ...activityOf(meter, now) }))
        .sort((one, other) => other.perSecond - one.perSecond || other.jobs - one.jobs)
        .slice(0, limit)
        .map(({ meter }) => numbersOf(meter, now)),
    known: () => meters.size,
  };
}

function numbersOf({ client, counts, refusedBy, speed }: Meter, now: number): ClientNumbers {
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

/** The higher, the busier: what happens now counts first. */
function activityOf({ counts, speed }: Meter, now: number) {
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
  return { client, counts, refusedBy: new Map(), speed: null, busyAt: 0 };
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
