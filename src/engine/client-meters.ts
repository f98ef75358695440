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
  admitted(client: string, outcome: "accepted" | "duplicate", now: number): void;
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

type Meter = { -readonly [K in keyof Counts]: Counts[K] } & { readonly refusedBy: Map<string, number> };
type Speed = {
  readonly accepted: RateMeter;
  readonly finished: RateMeter;
  readonly queueWait: DurationWindow;
  readonly execution: DurationWindow;
  readonly endToEnd: DurationWindow;
  usedAt: number;
};

/** How long a speed may be out of its place in the order of use. */
const orderMs = 1_000;

export function createClientMeters(): ClientMeters {
  const meters = new Map<string, Meter>();
  /** The one that was used last is the last. */
  const speeds = new Map<string, Speed>();

  function nameOf(client: string): string {
    return meters.has(client) || meters.size < maxClients ? client : otherClients;
  }

  function meterOf(client: string): Meter {
    const name = nameOf(client);
    let meter = meters.get(name);
    if (!meter) meters.set(name, (meter = createMeter()));
    return meter;
  }

  function speedOf(client: string, now: number): Speed {
    const name = nameOf(client);
    let speed = speeds.get(name);
    if (speed && now - speed.usedAt < orderMs) return speed;
    speed ??= createSpeed(now);
    speed.usedAt = now;
    speeds.delete(name);
    speeds.set(name, speed);
    const [oldest] = speeds.keys();
    if (speeds.size > maxSpeeds && oldest !== undefined) speeds.delete(oldest);
    return speed;
  }

  function read(client: string, now: number): ClientNumbers {
    const { refusedBy, ...counts } = meters.get(client) ?? createMeter();
    const speed = speeds.get(client);
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
  function activity(client: string, { accepted, succeeded, dead, cancelled, refused }: Meter, now: number) {
    const speed = speeds.get(client);
    const perSecond = speed ? speed.accepted.read(now) + speed.finished.read(now) : 0;
    return { client, perSecond, jobs: accepted + succeeded + dead + cancelled + refused };
  }

  return {
    admitted(client, outcome, now) {
      const meter = meterOf(client);
      if (outcome === "duplicate") meter.duplicates += 1;
      else {
        meter.accepted += 1;
        speedOf(client, now).accepted.count(now);
      }
    },
    refused(client, reason, jobs) {
      const meter = meterOf(client);
      meter.refused += jobs;
      meter.refusedBy.set(reason, (meter.refusedBy.get(reason) ?? 0) + jobs);
    },
    throttled(client, ms) {
      meterOf(client).throttledMs += ms;
    },
    written(client, { settlement: { state }, isRetry, waitedMs, tookMs, endToEndMs }, now) {
      const meter = meterOf(client);
      if (isRetry) meter.retries += 1;
      const speed = speedOf(client, now);
      if (state !== "QUEUED") {
        meter[state === "SUCCEEDED" ? "succeeded" : state === "DEAD" ? "dead" : "cancelled"] += 1;
        speed.finished.count(now);
      }
      if (waitedMs === null) return;
      speed.queueWait.record(waitedMs, now);
      speed.execution.record(tookMs, now);
      if (endToEndMs !== null) speed.endToEnd.record(endToEndMs, now);
    },
    cancelled(client, now) {
      meterOf(client).cancelled += 1;
      speedOf(client, now).finished.count(now);
    },
    read,
    busiest: (limit, now) =>
      [...meters]
        .map(([client, meter]) => activity(client, meter, now))
        .sort((one, other) => other.perSecond - one.perSecond || other.jobs - one.jobs)
        .slice(0, limit)
        .map(({ client }) => read(client, now)),
    known: () => meters.size,
  };
}

function createMeter(): Meter {
  return {
    ...{ accepted: 0, duplicates: 0, refused: 0, succeeded: 0, dead: 0, cancelled: 0, retries: 0, throttledMs: 0 },
    refusedBy: new Map(),
  };
}

function createSpeed(now: number): Speed {
  return {
    accepted: createRateMeter(),
    finished: createRateMeter(),
    queueWait: createDurationWindow(bits, now),
    execution: createDurationWindow(bits, now),
    endToEnd: createDurationWindow(bits, now),
    usedAt: now,
  };
}
