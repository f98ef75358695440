/**
 * The API for task authors. A task is a file in the tasks folder:
 *
 *     export default defineTask({
 *       name: "greet",
 *       pool: "cpu",
 *       async run(input: { name: string }, ctx) {
 *         ctx.progress(0.5, "thinking");
 *         return { greeting: `hello ${input.name}` };
 *       },
 *     });
 */
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { FieldViolation } from "../errors.ts";
import type { JsonValue } from "../job/job.ts";
import type { RetryPolicy } from "../job/backoff.ts";
import type { TraceContext } from "../job/trace.ts";
import type { JsonSchema, ReadAs, SentAs, StandardSchema } from "../schema.ts";
import type { NoResources, Resources, SettingsOf, ValuesOf } from "./resource.ts";
import type { TaskLog } from "./task-log.ts";

/** The context of a running attempt; `S`: the task's settings, `R`: the resources that it uses. */
export type TaskContext<S = unknown, R extends Resources = Resources> = {
  /** The task's section of the configuration, as its `settings` read it. */
  readonly settings: S;
  /** The values of the task's `resources`, set up in this thread. */
  readonly resources: ValuesOf<R>;
  readonly jobId: string;
  /** Number of this attempt, from 1. With `jobId` it makes side effects recognisable: a job may run more than once. */
  readonly attempt: number;
  /** When the attempt will be asked to stop, in milliseconds since 1970: its timeout or the job's deadline. */
  readonly deadlineAt: number;
  /**
   * Aborts when the attempt should stop: the job was cancelled, its timeout or deadline passed, or the server shuts
   * down. A task that ignores it is terminated with its thread after `graceMs`.
   */
  readonly signal: AbortSignal;
  /** Throws once the attempt should stop. Also works in a loop that never yields, because it reads shared memory. */
  throwIfCancelled(): void;
  /**
   * Reports the attempt's progress: 0 to 1, with an optional note of at most 200 characters. Shown by `GetJob` and
   * `WatchJob`. At most one report per 100 ms is sent: a newer one replaces one that waits, and the last is always
   * sent.
   */
  progress(fraction: number, note?: string): void;
  /**
   * Runs code, returns its result, and records it as a span of this name in the job's trace, with its duration (until a
   * returned promise settles) and error. Thenables that are not promises, such as the queries of some libraries, must
   * be awaited inside. Spans started inside are its children. Attributes are read at its end; other values than
   * strings, numbers and booleans become strings. At most 128 spans per attempt are kept, with 32 attributes each.
   * Costs almost nothing while the server exports no traces.
   */
  span<T>(name: string, code: () => T, attributes?: SpanAttributes): T;
  /**
   * The trace context of the attempt, to propagate in headers of HTTP requests or in `TRACEPARENT` of child processes.
   * Its span is the innermost `span`, or the attempt's own.
   */
  readonly trace: TraceContext;
  /** Writes to the server's log, with the job's id, task and attempt. Text beyond 4096 characters is truncated. */
  readonly log: TaskLog;
};

export type SpanAttributes = { readonly [name: string]: JsonValue | undefined };

/** Input of a task without a type: the client's JSON or bytes, or null if it sent nothing. */
export type UntypedInput = JsonValue | Uint8Array;
/** Output of a task without a type; `undefined`: no output. */
export type UntypedOutput = JsonValue | Uint8Array | undefined;

/** A message type of protobuf-es, a schema, or nothing. */
type Declared = DescMessage | StandardSchema | JsonSchema | undefined;

type InputOf<I> = I extends DescMessage ? MessageShape<I> : I extends object ? ReadAs<I> : UntypedInput;
type OutputOf<O> = O extends DescMessage ? MessageInitShape<O> : O extends object ? SentAs<O> : UntypedOutput;

export type TaskDefinition<
  I extends Declared = Declared,
  O extends Declared = Declared,
  S = unknown,
  R extends Resources = Resources,
  N extends string = string,
> = {
  /** The name that jobs refer to: at most 100 characters of [a-z0-9._-], starting with a letter. Unique among all tasks. */
  readonly name: N;
  /** The pool whose workers run it; one of the configured ones. */
  readonly pool: string;
  /** One sentence for `ListTasks`. */
  readonly description?: string;
  /**
   * The message type it accepts, or a schema of its JSON: a Standard Schema (zod, valibot) or a JSON Schema. Jobs with
   * other inputs are refused at submit. `run` gets the value parsed by the schema. Absent: any JSON, bytes, or nothing.
   */
  readonly input?: I;
  /** The message type it returns, or a schema of its JSON. Absent: any JSON, bytes, or nothing. */
  readonly output?: O;
  /**
   * Overrides of the default retry policy: 4 attempts, 100 ms, doubling each time, at most 5 s, full jitter. Attempts
   * are 1 to 100, delays 0 to a year in whole milliseconds, the factor 1 to 100.
   */
  readonly retry?: Partial<RetryPolicy>;
  /**
   * Bound on one attempt in whole milliseconds, 1 ms to 7 days, from its start; a job may set a lower one. An attempt
   * that takes longer is asked to stop, and retried like a failed one. Default: an hour.
   */
  readonly timeoutMs?: number;
  /** Resources that it shares with other tasks and between jobs, such as connections: see `defineResource`. */
  readonly resources?: R;
  /**
   * Reads `tasks.<name>` of the configuration (an empty object when it is missing), fills in defaults, and throws an
   * Error whose message says what is wrong. Runs once, at start; what it returns must be plain data.
   */
  settings?(given: { readonly [key: string]: unknown }): S;
  /**
   * Returns the violations of an input beyond its type. Paths start at the input: `width`. Runs at submit, in a thread
   * that all tasks of the folder share, so it must be quick, and it cannot be asynchronous: see docs/tasks.md.
   * `resources`: the settings of the resources, by the task's names for them.
   */
  check?(input: InputOf<I>, settings: S, resources: SettingsOf<R>): readonly FieldViolation[];
  /** Does the work, in a worker thread. A thrown `TaskError` decides about a retry; any other error is retried. */
  run(input: InputOf<I>, ctx: TaskContext<S, R>): OutputOf<O> | Promise<OutputOf<O>>;
};

/** A task of any type. */
export type AnyTask = Omit<TaskDefinition, "run" | "check"> & {
  check?(input: never, settings: never, resources: never): readonly FieldViolation[];
  run(input: never, ctx: TaskContext<never, never>): unknown;
};

const brand: unique symbol = Symbol.for("millpond.task");

/** Marks an object as a task. It is checked when the server loads the file. */
export function defineTask<
  const I extends Declared = undefined,
  const O extends Declared = undefined,
  S = undefined,
  R extends Resources = NoResources,
  const N extends string = string,
>(definition: TaskDefinition<I, O, S, R, N>): TaskDefinition<I, O, S, R, N> {
  return Object.freeze({ ...definition, [brand]: true });
}

/** Whether a value was created by `defineTask`, even by another copy of this package. */
export function isTask(value: unknown): value is AnyTask {
  return typeof value === "object" && value !== null && brand in value;
}

/** An error with which a task states why it failed and whether a retry may help. */
export class TaskError extends Error {
  override readonly name = "TaskError";
  /** Stable identifier for programs, at most 64 characters of [a-z0-9_]. */
  readonly reason: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly details: { [key: string]: JsonValue } | undefined;

  constructor(
    reason: string,
    message: string,
    options: {
      /** False: the job is DEAD at once. Default true. */
      readonly retryable?: boolean;
      /** The delay before the next attempt, instead of the policy's backoff. */
      readonly retryAfterMs?: number;
      /** Data for programs, at most 16384 characters as JSON; more is truncated. Stored, and shown to the job's client. */
      readonly details?: { [key: string]: JsonValue };
    } & ErrorOptions = {},
  ) {
    super(message, options);
    this.reason = reason;
    this.retryable = options.retryable ?? true;
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details;
  }
}

/** A failure for which a retry cannot help. */
export function permanent(reason: string, message: string, details?: { [key: string]: JsonValue }): TaskError {
  return new TaskError(reason, message, { retryable: false, ...(details && { details }) });
}
