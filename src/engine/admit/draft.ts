/** Checks one job as a client describes it, independently of the queue. */
import { type FieldViolation, invalid, type MillpondError, refusal } from "../../errors.ts";
import { type Labels, type NewJob, noLabels, type RetryChanges } from "../../job/job.ts";
import type { LoadedTask, Tasks } from "../../pool/tasks.ts";
import { checkNames, halfPair } from "./draft-names.ts";
import { checkRetry, checkTimes, type GivenRetry } from "./draft-times.ts";
import { type GivenInput, readInput } from "./input.ts";

/** A job as a client describes it. */
export type Draft = {
  /** Empty: one is chosen. */
  readonly id: string;
  readonly task: string;
  /** Empty: `default`. */
  readonly channel: string;
  readonly input: GivenInput;
  /** Empty: none. */
  readonly idempotencyKey: string;
  readonly priority: number;
  /** When it may start: a time in milliseconds since 1970, or a delay in milliseconds. Null: at once. */
  readonly start: { readonly at: number } | { readonly delayMs: number } | null;
  /** Milliseconds since 1970. Null: no deadline. */
  readonly expiresAt: number | null;
  /** Null: the task's. */
  readonly timeoutMs: number | null;
  /** Changes of the task's policy. */
  readonly retry: GivenRetry;
  readonly labels: Labels;
  readonly memo: string;
  readonly discardResult: boolean;
  /**
   * The trace that it belongs to, as stored: see `storedTrace`. Two submits that differ only in it are the same job.
   */
  readonly trace: string | null;
};

/** A draft that is valid, except that its task's own check has not run. */
export type CheckedDraft = {
  readonly task: LoadedTask;
  /** The job, with the task's settings filled in. */
  readonly job: NewJob;
};

/** The client that sent a draft, and when it arrived, in milliseconds since 1970. */
export type Origin = { readonly client: string; readonly now: number };

export const defaultChannel = "default";

const maxNamesShown = 20;
const maxPriority = 100;
const maxMemo = 1_024;

/**
 * Checks the task, then the size (at most `maxInputBytes`, as sent and as stored), then every field. Paths are those of
 * `JobSpec` and start at the job, such as `retry.max_attempts`.
 */
export function createDraftCheck(
  tasks: () => Tasks,
  maxInputBytes: number,
  newId: () => string,
): (draft: Draft, origin: Origin) => CheckedDraft | MillpondError {
  return (draft, { client, now }) => {
    const task = tasks().get(draft.task);
    if (!task) return refusal("unknown_task", [draft.task.slice(0, 100), namesOf([...tasks().keys()])]);
    const sent = sizeOf(draft.input);
    if (sent > maxInputBytes) return refusal("input_too_large", [sent, maxInputBytes]);
    const violations: FieldViolation[] = [];
    checkNames(draft, violations);
    checkPriority(draft.priority, violations);
    checkMemo(draft.memo, violations);
    const isNamed = draft.id !== "" || draft.idempotencyKey !== "";
    const runAt = checkTimes(draft, { isNamed, now, ceilingMs: task.timeoutMs }, violations);
    checkRetry(draft.retry, violations);
    const input = readInput(task, draft.input);
    if (input.violations) violations.push(...input.violations);
    if (input.violations || violations.length > 0) return invalid(violations);
    const encoded = input.payload?.bytes.length ?? 0;
    if (encoded > maxInputBytes) return refusal("input_too_large", [encoded, maxInputBytes]);
    const job: NewJob = {
      id: draft.id.toLowerCase() || newId(),
      client,
      task: task.name,
      pool: task.pool,
      channel: draft.discardResult ? null : draft.channel || defaultChannel,
      input: input.payload,
      maxAttempts: draft.retry.maxAttempts ?? task.retry.maxAttempts,
      priority: draft.priority,
      runAt,
      expiresAt: draft.expiresAt,
      submittedAt: now,
      trace: draft.trace,
      idempotencyKey: draft.idempotencyKey || null,
      labels: hasAny(draft.labels) ? draft.labels : noLabels,
      memo: draft.memo,
      timeoutMs: draft.timeoutMs === task.timeoutMs ? null : draft.timeoutMs,
      retry: changesOf(draft.retry, task),
    };
    return { task, job };
  };
}

function checkPriority(priority: number, violations: FieldViolation[]): void {
  if (Number.isInteger(priority) && Math.abs(priority) <= maxPriority) return;
  const bound = `a whole number from -${maxPriority} to ${maxPriority}`;
  violations.push({ field: "priority", description: `is ${priority} and must be ${bound}` });
}

function checkMemo(memo: string, violations: FieldViolation[]): void {
  if (!memo.isWellFormed()) violations.push({ field: "memo", description: halfPair });
  const { length } = memo;
  if (length <= maxMemo) return;
  violations.push({ field: "memo", description: `has ${length} characters and may have ${maxMemo}: shorten it` });
}

/** Options that equal the task's are no change, so that a job with them and one without are the same. */
function changesOf(retry: GivenRetry, { retry: usual }: LoadedTask): RetryChanges | null {
  if (!hasAny(retry)) return null;
  const { baseMs, factor, maxBackoffMs, jitter } = retry;
  const changes = {
    ...(baseMs !== undefined && baseMs !== usual.baseMs && { baseMs }),
    ...(factor !== undefined && factor !== usual.factor && { factor }),
    ...(maxBackoffMs !== undefined && maxBackoffMs !== usual.maxBackoffMs && { maxBackoffMs }),
    ...(typeof jitter === "string" && jitter !== usual.jitter && { jitter }),
  };
  return hasAny(changes) ? changes : null;
}

function hasAny(fields: object): boolean {
  for (const _ in fields) return true; // without creating a list of keys, because nearly all jobs have none
  return false;
}

/** The size of JSON is checked after encoding. */
function sizeOf(input: GivenInput): number {
  return input !== null && "bytes" in input ? input.bytes.length : 0;
}

function namesOf(names: readonly string[]): string {
  const more = names.length - maxNamesShown;
  return names.slice(0, maxNamesShown).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
