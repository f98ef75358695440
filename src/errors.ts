/**
 * Every way in which Millpond says no, in one table: the stable reason, its gRPC code, whether trying again may help,
 * and the sentence. docs/errors.md lists them all, and a test holds it to that.
 */

/** The gRPC status codes in use (https://grpc.io/docs/guides/status-codes/). */
export const Code = {
  Cancelled: 1,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  OutOfRange: 11,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
} as const;
export type Code = (typeof Code)[keyof typeof Code];

/** One field that breaks its contract, by its path, such as `jobs[2].input.width`. */
export type FieldViolation = { readonly field: string; readonly description: string };

type Rule<Args extends readonly unknown[]> = {
  readonly code: Code;
  readonly retryable: boolean;
  readonly message: (...args: Args) => string;
};

const ruleOf =
  (retryable: boolean) =>
  (code: Code) =>
  <Args extends readonly unknown[]>(message: (...args: Args) => string): Rule<Args> => ({ code, retryable, message });
/** The same request is refused again. */
const final = ruleOf(false);
/** The same request may succeed later. */
const transient = ruleOf(true);

export const rules = {
  invalid_argument: final(Code.InvalidArgument)((violations: readonly FieldViolation[]) =>
    violations.map(({ field, description }) => `${field}: ${description}`).join("; "),
  ),
  malformed_request: final(Code.InvalidArgument)((what: string) => `the request cannot be read: ${what}`),
  unknown_task: final(Code.NotFound)(
    (task: string, known: string) => `no task is named "${task}"; there are: ${known}`,
  ),
  unknown_service: final(Code.NotFound)(
    (service: string, known: string) => `no service is named "${service}"; there are: ${known}`,
  ),
  unknown_pool: final(Code.NotFound)(
    (pool: string, known: string, near: string | undefined) =>
      `no pool is named "${pool}"; there are: ${known}${near === undefined ? "" : `: did you mean "${near}"?`}`,
  ),
  job_not_found: final(Code.NotFound)(
    (id: string) => `no job "${id}": it was never submitted by this client, or retention has removed it`,
  ),
  already_exists: final(Code.AlreadyExists)(
    (id: string, differs: string) => `job "${id}" exists and differs in ${differs}: choose a new id for a new job`,
  ),
  key_exists: final(Code.AlreadyExists)(
    (key: string, id: string, differs: string) =>
      `idempotency key "${key}" belongs to job "${id}", which differs in ${differs}: choose a new key for a new job`,
  ),
  not_dead: final(Code.FailedPrecondition)(
    (id: string, state: string) => `job "${id}" is ${state}: only DEAD jobs can be redriven`,
  ),
  not_final: final(Code.FailedPrecondition)(
    (id: string, state: string) => `job "${id}" is ${state}: only final jobs can be deleted, cancel it first`,
  ),
  not_acknowledged: final(Code.FailedPrecondition)(
    (id: string) => `the result of job "${id}" waits to be acknowledged: acknowledge it, then delete the job`,
  ),
  id_taken: final(Code.AlreadyExists)((id: string) => `id "${id}" is not free: choose another`),
  input_too_large: final(Code.ResourceExhausted)(
    (size: number, limit: number) =>
      `the input has ${size} bytes and the limit is ${limit}: send less, or raise limits.inputBytes`,
  ),
  message_too_large: final(Code.ResourceExhausted)(
    (limit: number) =>
      `the request has more than ${limit} bytes: send fewer jobs at a time, or raise limits.messageBytes`,
  ),
  too_many_values: final(Code.ResourceExhausted)(
    (values: string, limit: number) =>
      `the request has ${values} values and the limit is ${limit}: send fewer jobs at a time, long lists as bytes, or raise limits.values`,
  ),
  metadata_too_large: final(Code.ResourceExhausted)(
    (size: number, limit: number) =>
      `the call's metadata has ${size} bytes and the limit is ${limit}: send less, or raise limits.metadataBytes`,
  ),
  check_failed: final(Code.FailedPrecondition)(
    (task: string, why: string) => `the check of task "${task}" failed on this input: ${why}: correct the task file`,
  ),
  check_unavailable: transient(Code.Unavailable)(
    (why: string, retryAfterMs: number) =>
      `inputs of this task cannot be checked now (${why}): retry in ${seconds(retryAfterMs)}`,
  ),
  rate_limited: transient(Code.ResourceExhausted)(
    (client: string, rate: number, burst: number, retryAfterMs: number) =>
      `client "${client}" is over its rate of ${rate} jobs/s (burst ${burst}): retry in ${seconds(retryAfterMs)}`,
  ),
  over_burst: final(Code.ResourceExhausted)(
    (jobs: number, client: string, burst: number) =>
      `${jobs} jobs at once are more than client "${client}" may ever send, its burst is ${burst}: send fewer at a time`,
  ),
  queue_full: transient(Code.ResourceExhausted)(
    (pool: string, depth: number, limit: number, retryAfterMs: number) =>
      `pool "${pool}" holds ${depth} jobs and its limit is ${limit}: retry in ${seconds(retryAfterMs)} or raise pools.${pool}.maxQueued`,
  ),
  disk_full: transient(Code.ResourceExhausted)(
    (freeMiB: number, leastMiB: number) =>
      `the disk of the store has ${freeMiB} MiB free, and new jobs need ${leastMiB} MiB: ` +
      "remove other files or finished jobs, or lower limits.diskFreeMiB",
  ),
  too_many_streams: transient(Code.ResourceExhausted)(
    (client: string, limit: number) =>
      `client "${client}" has ${limit} result streams open and that is the limit: close one, or raise limits.resultStreams`,
  ),
  too_many_watches: transient(Code.ResourceExhausted)(
    (client: string, limit: number) =>
      `client "${client}" watches or runs ${limit} jobs and that is the limit: end one, or raise limits.watches`,
  ),
  too_many_stats_watches: transient(Code.ResourceExhausted)(
    (client: string, limit: number) =>
      `client "${client}" has ${limit} WatchStats calls open and that is the limit: end one, or raise limits.statsWatches`,
  ),
  slow_consumer: transient(Code.ResourceExhausted)(
    (stalledMs: number, cursor: number) =>
      `nothing was read from this stream for ${seconds(stalledMs)}: read on, from cursor ${cursor}`,
  ),
  cursor_from_the_future: final(Code.OutOfRange)(
    (cursor: number, channel: string, last: number) =>
      `cursor ${cursor} is ahead of channel "${channel}", whose newest result is ${last}: use one that a result came with`,
  ),
  protocol_violation: final(Code.FailedPrecondition)((what: string) => what),
  unsupported_content_type: final(Code.InvalidArgument)(
    (contentType: string, served: string) => `content type "${contentType}" is not served here: ${served}`,
  ),
  not_served: final(Code.Unimplemented)((what: string) => what),
  host_not_allowed: final(Code.PermissionDenied)(
    (host: string) =>
      `the HTTP port does not serve under the name "${host}": use its address, or add the name to http.hosts`,
  ),
  origin_not_allowed: final(Code.PermissionDenied)(
    (origin: string) => `web pages of "${origin}" may not call this server: add their origin to http.origins`,
  ),
  profile_running: transient(Code.ResourceExhausted)(
    () => "another profile is being taken, and there is one at a time: retry when it is written",
  ),
  draining: transient(Code.Unavailable)(() => "the server is shutting down: retry, or send it to another"),
  store_unavailable: transient(Code.Unavailable)(
    (cause: string, retryAfterMs: number) =>
      `the store cannot be reached (${cause}): what was not answered may have been accepted or not, ` +
      `retry with the same job ids in ${seconds(retryAfterMs)}`,
  ),
  store_failed: transient(Code.Unavailable)(
    (cause: string) =>
      `the store failed and the server is stopping (${cause}): what was not answered may have been accepted or not`,
  ),
  cancelled: final(Code.Cancelled)(() => "the call was cancelled"),
  deadline_exceeded: transient(Code.DeadlineExceeded)(() => "the call's deadline passed before it was answered"),
  internal: final(Code.Internal)(
    (incident: string) => `an error that should not happen; the server's log has it under incident ${incident}`,
  ),
} as const;

export type Reason = keyof typeof rules;

/** Facts that travel with a refusal. */
export type Advice = {
  /** When trying again makes sense, in milliseconds from now. */
  readonly retryAfterMs?: number;
  readonly violations?: readonly FieldViolation[];
};

/** A request that was refused, or a call that failed. `message` is for people, `reason` for programs. */
export class MillpondError extends Error {
  override readonly name = "MillpondError";
  readonly reason: Reason;
  readonly code: Code;
  readonly retryAfterMs: number | undefined;
  readonly violations: readonly FieldViolation[];

  constructor(reason: Reason, message: string, advice: Advice & ErrorOptions = {}) {
    // half a character, as where text was cut, cannot be written into a header
    super(message.toWellFormed(), advice.cause === undefined ? undefined : { cause: advice.cause });
    this.reason = reason;
    this.code = rules[reason].code;
    this.retryAfterMs = advice.retryAfterMs;
    this.violations = advice.violations ?? [];
  }
}

/** The error for a reason, its sentence made from the reason's own arguments. */
export function refusal<R extends Reason>(
  reason: R,
  args: Parameters<(typeof rules)[R]["message"]>,
  advice: Advice & ErrorOptions = {},
): MillpondError {
  const message = (rules[reason].message as (...args: readonly unknown[]) => string)(...args);
  return new MillpondError(reason, message, advice);
}

/** Whether a call of the store failed in the way that passes: nothing is known of that call, and a later one may succeed. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof MillpondError && error.reason === "store_unavailable";
}

/** The refusal of fields that break their contract, in the order of the fields. */
export function invalid(violations: readonly FieldViolation[]): MillpondError {
  return refusal("invalid_argument", [violations], { violations });
}

/**
 * A server that cannot start: what is wrong, and what to do. Shown as it is, without a stack trace. Exit code 2 is a
 * mistake in the configuration, 1 anything else.
 */
export class StartError extends Error {
  override readonly name = "StartError";
  readonly exitCode: 1 | 2;

  constructor(message: string, options: ErrorOptions & { readonly exitCode?: 1 | 2 } = {}) {
    super(message, options);
    this.exitCode = options.exitCode ?? 1;
  }
}

/** What an unknown thrown value says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function seconds(ms: number): string {
  return ms < 1000 ? `${Math.ceil(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
