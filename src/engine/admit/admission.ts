/**
 * Decides whether a job is accepted: checks the rate, the job's fields, and the room on disk and in the queue, in this
 * order.
 */
import { type Clock, pause } from "../../clock.ts";
import { invalid, MillpondError, refusal } from "../../errors.ts";
import { differences } from "../../job/content.ts";
import type { NewJob } from "../../job/job.ts";
import { encodeContent, encodeJob } from "../../job/record.ts";
import type { CheckCall, TaskChecks } from "../../pool/checker/checks.ts";
import type { Tasks } from "../../pool/tasks.ts";
import type { Store, Submission, Submitted } from "../../store/store.ts";
import type { Tracing } from "../../tracing.ts";
import type { Backlog } from "./backlog.ts";
import type { DiskWatermark } from "./disk-watermark.ts";
import { type CheckedDraft, createDraftCheck, type Draft } from "./draft.ts";
import { faultOfDeadline } from "./draft-times.ts";
import type { RateLimit } from "./rate-limit.ts";
import type { Stats } from "../watch/stats.ts";
import { createKeyedMutex } from "../keyed-mutex.ts";

/** The answer to one draft. `channel`: the channel of its result; null: none. */
export type Admitted =
  | { readonly kind: "accepted"; readonly id: string; readonly channel: string | null }
  | {
      readonly kind: "duplicate";
      /** The id of the existing job, which may differ from that of a draft with its idempotency key. */
      readonly id: string;
      readonly channel: string | null;
      /** Position of its result; null while it is not final. */
      readonly finalCursor: number | null;
    }
  | { readonly kind: "refused"; readonly error: MillpondError };

export type AdmissionLimits = {
  /** Bound on the jobs per request. */
  readonly jobsPerSubmit: number;
  /** Bound on an encoded input. */
  readonly inputBytes: number;
};

export type Admission = {
  /**
   * Admits drafts; resolves once the accepted ones are durable, with one answer per draft, in order. Rejects if the
   * whole request is refused (no or too many drafts, over the rate, draining). After the signal has aborted, drafts
   * that their task has not checked are refused with `cancelled`.
   */
  admit(client: string, drafts: readonly Draft[], signal?: AbortSignal): Promise<readonly Admitted[]>;
  /**
   * Like `admit`, but waits while the client is over its rate instead of refusing. A request larger than the burst is
   * split into parts; calls of one client take turns part by part, so that small ones do not starve a large one. Never
   * rejects because of a refusal: if the rest is refused as a whole, each of its jobs is, because a part may have been
   * admitted.
   */
  admitSlowly(client: string, drafts: readonly Draft[], options: SlowOptions): Promise<readonly Admitted[]>;
  /** From now on everything is refused with `draining`. */
  close(): void;
};

export type SlowOptions = {
  /** Ends the wait: drafts that are not admitted by then are refused with `cancelled`. */
  readonly signal: AbortSignal;
  /** Called before each wait for the rate with its duration. */
  onWait(waitMs: number): void;
  /** Called with each part as soon as it is durable. */
  onAdmitted?(part: readonly Admitted[]): void;
};

export type AdmissionParts = {
  readonly tasks: () => Tasks;
  readonly checks: TaskChecks;
  readonly store: Pick<Store, "submit">;
  readonly backlog: Backlog;
  readonly rateLimit: RateLimit;
  readonly stats: Pick<Stats, "admitted" | "refused" | "throttled" | "attemptsPerSecond">;
  readonly disk: Pick<DiskWatermark, "refusal">;
  readonly tracing: Pick<Tracing, "accepted">;
  readonly clock: Clock;
  readonly limits: AdmissionLimits;
  readonly newId: () => string;
  /** Called when jobs were passed to the store. */
  readonly onSubmitted: () => void;
};

/** When a client should try again while the server restarts. */
export const drainingRetryMs = 1_000;

export function createAdmission(parts: AdmissionParts): Admission {
  const { store, backlog, rateLimit, stats, tracing, clock, limits } = parts;
  const check = createDraftCheck(parts.tasks, limits.inputBytes, parts.newId);
  /** Serialises a client's submits that may wait. */
  const perClient = createKeyedMutex();
  let isClosed = false;

  function refuseWhenClosed(): void {
    if (isClosed) throw refusal("draining", [], { retryAfterMs: drainingRetryMs });
  }

  function checkRequest(drafts: readonly Draft[]): void {
    refuseWhenClosed();
    if (drafts.length === 0 || drafts.length > limits.jobsPerSubmit) {
      const description = `has ${drafts.length} jobs, it takes 1 to ${limits.jobsPerSubmit} (limits.jobsPerSubmit)`;
      throw invalid([{ field: "jobs", description }]);
    }
  }

  /** Resolves once the client may submit this many more jobs. */
  async function allowance(client: string, jobs: number, { signal, onWait }: SlowOptions): Promise<void> {
    const unlock = await perClient.lock(client, signal);
    const since = clock.monotonicMs();
    let hasWaited = false;
    try {
      refuseWhenGone(signal);
      for (let waitMs = rateLimit.take(client, jobs); waitMs > 0; waitMs = rateLimit.take(client, jobs)) {
        onWait(waitMs);
        hasWaited = true;
        await pause(clock, waitMs, signal);
        refuseWhenGone(signal);
      }
    } finally {
      if (hasWaited) stats.throttled(client, jobs, clock.monotonicMs() - since);
      unlock();
    }
  }

  function refuseWhenGone(signal: AbortSignal): void {
    if (signal.aborted) throw refusal("cancelled", []);
    refuseWhenClosed();
  }

  async function admitChecked(
    client: string,
    drafts: readonly Draft[],
    signal: AbortSignal | undefined,
  ): Promise<readonly Admitted[]> {
    const origin = { client, now: clock.now() };
    const checked = drafts.map((draft) => check(draft, origin));
    if (checked.some(hasCheck)) await runChecks(checked, { client, signal });
    const diskFull = parts.disk.refusal();
    const prepared = checked.map((each) => (each instanceof MillpondError ? each : (diskFull ?? reserve(each))));
    const jobs = prepared.filter((each) => "id" in each);
    const answers = jobs.length > 0 ? await submit(jobs) : [];
    let next = 0;
    const admitted = prepared.map((each): Admitted => {
      return "id" in each ? admittedOf(each, answers[next++] as Submitted) : { kind: "refused", error: each };
    });
    count(client, prepared, admitted);
    return admitted;
  }

  /** Counts neighbours with the same task and answer together, because most are alike. */
  function count(client: string, prepared: readonly (NewJob | MillpondError)[], admitted: readonly Admitted[]): void {
    for (let start = 0, end = 0; start < admitted.length; start = end) {
      const answer = admitted[start] as Admitted;
      if (answer.kind === "refused") {
        stats.refused(client, answer.error.reason, 1);
        end = start + 1;
        continue;
      }
      const job = prepared[start] as NewJob;
      while (admitted[end]?.kind === answer.kind && (prepared[end] as NewJob).task === job.task) end += 1;
      stats.admitted(client, job, answer.kind, end - start);
    }
  }

  /** Counts jobs that are refused together. */
  function countRefusal(client: string, jobs: number, error: unknown): void {
    if (error instanceof MillpondError) stats.refused(client, error.reason, jobs);
  }

  /** Runs the tasks' own checks of all jobs at once. Their refusals replace the drafts. */
  async function runChecks(checked: (CheckedDraft | MillpondError)[], call: CheckCall): Promise<void> {
    const indices = [...checked.keys()].filter((index) => hasCheck(checked[index] as CheckedDraft | MillpondError));
    const inputs = indices.map((index) => {
      const { task, input } = (checked[index] as CheckedDraft).job;
      return { task, input };
    });
    const errors = await parts.checks.check(inputs, call);
    refuseWhenClosed(); // it may have been closed meanwhile
    for (const [at, index] of indices.entries()) checked[index] = errors[at] ?? (checked[index] as CheckedDraft);
  }

  async function submit(jobs: readonly NewJob[]): Promise<readonly Submitted[]> {
    let submitted: readonly Submitted[] = [];
    try {
      const answer = store.submit(jobs.map(submissionOf));
      parts.onSubmitted();
      submitted = await answer;
    } finally {
      for (const [index, { pool }] of jobs.entries()) {
        if (submitted[index]?.kind !== "accepted") backlog.change(pool, -1); // also if that is unknown: then it is counted later
      }
    }
    const isNew = submitted.every(({ kind }) => kind === "accepted");
    tracing.accepted(isNew ? jobs : jobs.filter((_, index) => submitted[index]?.kind === "accepted"));
    return submitted;
  }

  /** Reserves a place in the pool's queue. */
  function reserve({ job }: CheckedDraft): NewJob | MillpondError {
    return backlog.reserve(job.pool) ? job : queueFull(job.pool);
  }

  function queueFull(pool: string): MillpondError {
    const limit = backlog.limit(pool);
    const retryAfterMs = timeToRoomMs(limit, stats.attemptsPerSecond(pool));
    return refusal("queue_full", [pool, backlog.queued(pool), limit, retryAfterMs], { retryAfterMs });
  }

  return {
    async admit(client, drafts, signal) {
      try {
        checkRequest(drafts);
        const waitMs = rateLimit.take(client, drafts.length);
        if (waitMs > 0) throw overRate(client, drafts.length, rateLimit, waitMs);
        return await admitChecked(client, drafts, signal);
      } catch (error) {
        countRefusal(client, drafts.length, error);
        throw error;
      }
    },

    async admitSlowly(client, drafts, options) {
      const { perSecond, burst } = rateLimit.rateOf(client);
      const hasRate = perSecond > 0;
      const atOnce = hasRate ? burst : Math.max(drafts.length, 1);
      const admitted: Admitted[] = [];
      try {
        checkRequest(drafts);
        for (let start = 0; start < drafts.length; start += atOnce) {
          const piece = drafts.slice(start, start + atOnce);
          if (hasRate) await allowance(client, piece.length, options);
          const part = await admitChecked(client, piece, options.signal);
          admitted.push(...part);
          options.onAdmitted?.(part);
        }
      } catch (error) {
        countRefusal(client, drafts.length - admitted.length, error);
        const isOfAll = drafts.length === 0; // there is no job to answer
        if (!(error instanceof MillpondError) || isUnknown(error) || isOfAll) throw error;
        for (let left = drafts.length - admitted.length; left > 0; left -= 1) admitted.push({ kind: "refused", error });
      }
      return admitted;
    },

    close() {
      isClosed = true;
    },
  };
}

/** Whether jobs may have been accepted although the call failed, so that they must not be reported as refused. */
function isUnknown({ reason }: MillpondError): boolean {
  return reason === "store_failed" || reason === "store_unavailable";
}

function hasCheck(checked: CheckedDraft | MillpondError): boolean {
  return !(checked instanceof MillpondError) && checked.task.hasCheck;
}

function admittedOf(job: NewJob, submitted: Submitted): Admitted {
  const { id, channel } = job;
  switch (submitted.kind) {
    case "accepted":
      return { kind: "accepted", id, channel };
    case "known":
      return admittedAgain(job, submitted);
    case "taken":
      return { kind: "refused", error: refusal("id_taken", [id]) };
    case "late":
      return { kind: "refused", error: late(job) };
  }
}

function submissionOf(job: NewJob): Submission {
  return { job, record: encodeJob(job), content: job.idempotencyKey === null ? null : encodeContent(job) };
}

function admittedAgain(job: NewJob, { by, id, content, cursor }: Extract<Submitted, { kind: "known" }>): Admitted {
  const differs = differences(content, job);
  if (differs.length === 0) return { kind: "duplicate", id, channel: job.channel, finalCursor: cursor };
  const what = differs.join(", ");
  const key = job.idempotencyKey ?? "";
  const error = by === "id" ? refusal("already_exists", [id, what]) : refusal("key_exists", [key, id, what]);
  return { kind: "refused", error };
}

function late({ expiresAt, runAt, submittedAt }: NewJob): MillpondError {
  const fault = faultOfDeadline(expiresAt ?? submittedAt, runAt, submittedAt);
  return invalid(fault ? [fault] : []);
}

function overRate(client: string, jobs: number, rateLimit: RateLimit, waitMs: number): MillpondError {
  const { perSecond, burst } = rateLimit.rateOf(client);
  if (waitMs === Number.POSITIVE_INFINITY) return refusal("over_burst", [jobs, client, burst]);
  return refusal("rate_limited", [client, perSecond, burst, waitMs], { retryAfterMs: Math.ceil(waitMs) });
}

/** Time to run a hundredth of a full queue at the current speed, 0.1 to 10 s: by then a retry may succeed. */
function timeToRoomMs(limit: number, perSecond: number): number {
  return Math.round(Math.min(Math.max((limit / 100 / Math.max(perSecond, 1)) * 1000, 100), 10_000));
}
