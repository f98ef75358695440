/** The counters of one task. */
import type { Outcome, Settlement } from "../../job/job.ts";
import type { Counter, Registry } from "../../metrics/registry.ts";
import type { CounterName } from "../../metrics/table.ts";
import type { Ended } from "../../pool/pool.ts";
import { createDurationWindow, type Percentiles } from "./percentiles.ts";
import { createRateMeter } from "./rate-meter.ts";

export type OfTask = { readonly task: string; readonly pool: string };

export const keyOf = ({ task, pool }: OfTask) => `${task} ${pool}`;

/** Counts since the start of the server, rates over the last ten seconds, percentiles over the last minute or two. */
export type TaskNumbers = OfTask & {
  readonly accepted: number;
  readonly succeeded: number;
  /** Attempts, retried ones included. */
  readonly failed: number;
  readonly retries: number;
  readonly dead: number;
  readonly cancelled: number;
  readonly attemptsPerSecond: number;
  readonly acceptedPerSecond: number;
  readonly finishedPerSecond: number;
  readonly queueWait: Percentiles;
  readonly execution: Percentiles;
  readonly endToEnd: Percentiles;
};

/** A written outcome of an attempt; times are null if it did not run, or if they are unknown. */
export type Written = {
  readonly ended: Ended;
  readonly settlement: Settlement;
  readonly hasRun: boolean;
  readonly isRetry: boolean;
  readonly waitedMs: number | null;
  readonly tookMs: number;
  readonly endToEndMs: number | null;
};

export type TaskMeter = OfTask & {
  admitted(outcome: "accepted" | "duplicate", jobs: number, now: number): void;
  written(written: Written, now: number): void;
  /** A job was cancelled while it waited. */
  cancelled(now: number): void;
  attemptsPerSecond(now: number): number;
  read(now: number): TaskNumbers;
};

/** Percentiles are off by 1.6 % at most. */
const bits = 5;
/** Outcomes that count as failures. */
const failures = ["failed", "timed_out", "expired", "lost"] as const satisfies readonly Outcome["kind"][];

export function createTaskMeter({ task, pool }: OfTask, registry: Registry, startedAt: number): TaskMeter {
  const of = { task, pool };
  const admitted = counters(registry, "millpond.jobs.admitted", (outcome) => ({ ...of, outcome }));
  const attempts = counters(registry, "millpond.attempts", (outcome) => ({ ...of, outcome }));
  const finished = counters(registry, "millpond.jobs.finished", (state) => ({ ...of, state: state.toLowerCase() }));
  const dead = counters(registry, "millpond.jobs.dead", (reason) => ({ ...of, reason }));
  const retries = registry.counter("millpond.retries", of);
  const waits = registry.histogram("millpond.queue.wait", of);
  const executions = registry.histogram("millpond.attempt.duration", of);
  const durations = registry.histogram("millpond.job.duration", of);
  const queueWait = createDurationWindow(bits, startedAt);
  const execution = createDurationWindow(bits, startedAt);
  const endToEnd = createDurationWindow(bits, startedAt);
  const attemptRate = createRateMeter();
  const acceptedRate = createRateMeter();
  const finishedRate = createRateMeter();

  return {
    ...of,
    admitted(outcome, jobs, now) {
      admitted.of(outcome).value += jobs;
      if (outcome === "accepted") acceptedRate.count(now, jobs);
    },
    written({ ended, settlement, hasRun, isRetry, waitedMs, tookMs, endToEndMs }, now) {
      if (hasRun) attempts.of(ended.outcome.kind).value += 1;
      if (isRetry) retries.value += 1;
      if (settlement.state !== "QUEUED") {
        finished.of(settlement.state).value += 1;
        finishedRate.count(now, 1);
      }
      if (settlement.deadReason !== null) dead.of(settlement.deadReason).value += 1;
      if (waitedMs === null) return;
      attemptRate.count(now, 1);
      waits.record(waitedMs / 1000);
      queueWait.record(waitedMs, now);
      executions.record(tookMs / 1000);
      execution.record(tookMs, now);
      if (endToEndMs === null) return;
      durations.record(endToEndMs / 1000);
      endToEnd.record(endToEndMs, now);
    },
    cancelled(now) {
      finished.of("CANCELLED").value += 1;
      finishedRate.count(now, 1);
    },
    attemptsPerSecond: attemptRate.read,
    read: (now) => ({
      ...of,
      accepted: admitted.count("accepted"),
      succeeded: attempts.count("succeeded"),
      failed: failures.reduce((sum, outcome) => sum + attempts.count(outcome), 0),
      retries: retries.value,
      dead: finished.count("DEAD"),
      cancelled: finished.count("CANCELLED"),
      attemptsPerSecond: attemptRate.read(now),
      acceptedPerSecond: acceptedRate.read(now),
      finishedPerSecond: finishedRate.read(now),
      queueWait: queueWait.percentiles(now),
      execution: execution.percentiles(now),
      endToEnd: endToEnd.percentiles(now),
    }),
  };
}

/** The series of one metric that differ in one attribute, created when first counted. */
function counters(
  registry: Registry,
  name: CounterName,
  attributesOf: (key: string) => { readonly [name: string]: string },
) {
  const known = new Map<string, Counter>();
  /** The last one used, which is usually the next one, too. */
  let last: { readonly key: string; readonly counter: Counter } | undefined;
  return {
    of(key: string): Counter {
      if (last?.key === key) return last.counter;
      let counter = known.get(key);
      if (!counter) known.set(key, (counter = registry.counter(name, attributesOf(key))));
      last = { key, counter };
      return counter;
    },
    count: (key: string) => known.get(key)?.value ?? 0,
  };
}
