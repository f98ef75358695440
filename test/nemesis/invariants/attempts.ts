/** How jobs are tried: counted, one at a time, not too early. */
import { type History, type JobHistory, type Run, threadOf } from "../history/history.ts";
import { finding, type Invariant } from "./invariant.ts";

/** How many moments lie behind `from` and up to `to`; `moments` are in order. */
function between(moments: readonly number[], from: number, to: number): number {
  const upTo = (limit: number) => {
    let [low, high] = [0, moments.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (moments[middle]! <= limit) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return upTo(to) - upTo(from);
}

/** A job's executions, those after a redrive apart, for then attempts start anew. */
function livesOf({ runs, redrivenAt }: JobHistory): Run[][] {
  if (redrivenAt.length === 0) return [runs];
  const bounds = [-Infinity, ...redrivenAt, Infinity];
  return bounds.slice(1).map((end, life) => runs.filter(({ beganAt }) => beganAt > bounds[life]! && beganAt <= end));
}

/** What the number of the first or next execution breaks; undefined when it is as it must be. */
function numberFault(history: History, before: Run | undefined, run: Run, sentAt: number): string | undefined {
  const [from, number] = before ? [before.beganAt, before.attempt] : [sentAt, 0];
  const step = run.attempt - number;
  if (step === 1) return undefined;
  if (step < 0) return `attempt ${run.attempt} began after attempt ${number}`;
  if (step === 0) {
    if (between(history.stops, from, run.beganAt) > 0) return undefined;
    if (before && wasUnheard(history, before, run)) return undefined;
    return `attempt ${number} began twice, and neither a stop nor its thread's end lies between`;
  }
  const upsets = between(history.upsets, from, run.beganAt);
  return step - 1 <= upsets ? undefined : `attempt ${run.attempt} follows ${number} with ${upsets} upsets between`;
}

/**
 * Whether an execution ended on a thread that a neighbour then took down: its outcome may not have been heard, and then
 * the attempt is begun once more, uncounted, for the end was no fault of the job.
 */
function wasUnheard({ threadDeaths }: History, before: Run, run: Run): boolean {
  if (before.finishedAt === null) return false;
  return between(threadDeaths.get(threadOf(before)) ?? [], before.beganAt, run.beganAt) > 0;
}

export const attemptsCounted: Invariant = {
  name: "I7",
  says: "attempts are at most as many as allowed, and their numbers rise by one",
  check: (history) =>
    finding("I7", (say) => {
      let checked = 0;
      for (const job of history.jobs.values()) {
        const { id, intent, runs, results } = job;
        if (!intent || runs.length + results.length === 0) continue;
        checked += 1;
        for (const life of livesOf(job)) {
          for (const [index, run] of life.entries()) {
            const fault = numberFault(history, life[index - 1], run, -Infinity);
            if (fault !== undefined) say(fault, { job: id });
            if (run.attempt > intent.maxAttempts) say(`attempt ${run.attempt} of ${intent.maxAttempts}`, { job: id });
          }
        }
        for (const { attempts } of results) {
          if (attempts > intent.maxAttempts) say(`its result counts ${attempts} of ${intent.maxAttempts}`, { job: id });
        }
      }
      return checked;
    }),
};

/** The server's clock is set by the wall clock at its start, and its timers are of whole milliseconds. */
const slackMs = 5;

export const oneAtATime: Invariant = {
  name: "I8",
  says: "two attempts of a job overlap only if the first one's lease had ended",
  check: ({ jobs }, { leaseMs }) =>
    finding("I8", (say) => {
      let checked = 0;
      for (const { id, runs } of jobs.values()) {
        for (const [index, run] of runs.entries()) {
          const next = runs[index + 1];
          if (!next) continue;
          checked += 1;
          if (run.finishedAt === null || next.beganAt >= run.finishedAt - slackMs) continue;
          if (next.beganAt - run.beganAt >= leaseMs - slackMs) continue;
          const sinceMs = Math.round(next.beganAt - run.beganAt);
          say(`attempt ${next.attempt} began ${sinceMs} ms after attempt ${run.attempt}, which still ran`, { job: id });
        }
      }
      return checked;
    }),
};

/** Full jitter draws evenly from 0 to the bound: 2^-30 is the chance that 30 draws all lie in its upper half. */
const drawsEnough = 30;

export const notTooEarly: Invariant = {
  name: "I14",
  says: "nothing begins before its time, and delays before retries are as the policy says",
  check: ({ jobs, ends }) =>
    finding("I14", (say) => {
      let checked = 0;
      let drawn = 0;
      let hasShort = false;
      for (const { id, intent, runs, redrivenAt } of jobs.values()) {
        if (!intent || redrivenAt.length > 0) continue;
        const [first] = runs;
        if (intent.notBefore !== null && first) {
          checked += 1;
          const earlyMs = intent.notBefore - first.beganAt;
          if (earlyMs > slackMs) say(`began ${Math.round(earlyMs)} ms before its time`, { job: id });
        }
        if (!intent.retry) continue;
        for (const [index, run] of runs.entries()) {
          const next = runs[index + 1];
          if (!next || run.finishedAt === null || next.attempt !== run.attempt + 1) continue;
          // an attempt whose end the server did not live to write down is tried again at once
          if (between(ends, run.beganAt, next.beganAt) > 0) continue;
          checked += 1;
          const bound = intent.retry.baseMs * 2 ** (run.attempt - 1);
          const waited = next.beganAt - run.finishedAt;
          if (!intent.retry.hasJitter && waited < bound - slackMs) {
            say(`attempt ${next.attempt} began after ${Math.round(waited)} ms and not after ${bound} ms`, { job: id });
          }
          if (!intent.retry.hasJitter) continue;
          drawn += 1;
          hasShort ||= waited < bound / 2;
        }
      }
      if (drawn >= drawsEnough && !hasShort)
        say(`none of ${drawn} delays with full jitter is short: there is no jitter`);
      return checked;
    }),
};
