/**
 * The API for those who write tasks. A task is a file in the tasks folder:
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

/** What a running attempt may use; `S` are the task's settings, `R` the resources that it uses. */
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
   * Aborts when the attempt should stop: the job was cancelled, its timeout or deadline passed, or the server shuts down.
   * A task that goes on all the same is ended with its thread, `graceMs` later.
   */
  readonly signal: AbortSignal;
  /** Throws once `signal` should have aborted; works inside a loop that never yields, for it reads shared memory. */
  throwIfCancelled(): void;
  /**
   * Says how far the attempt is: 0 to 1, with an optional note of at most 200 characters. Shown by `GetJob` and `WatchJob`.
   * At most one report per 100 ms is sent: a newer one takes the place of one that waits, and the last is always sent.
   */
  progress(fraction: number, note?: string): void;
  /**
   * Runs code, gives what it gives, and shows it in the job's trace as a span of this name: how long it took, or the
   * promise that it returned, and what it threw. What has a `then` and is no promise, as a query of some libraries, has to
   * be awaited inside. Spans begun inside stand below it. Attributes are read at its end; those that are no text, number or
   * boolean become texts. At most 128 spans of an attempt are kept, and 32 attributes of each. Costs nearly nothing while
   * the server exports no traces.
   */
  span<T>(name: string, code: () => T, attributes?: SpanAttributes): T;
  /**
   * The trace that the attempt belongs to, for what it calls: headers of an HTTP request, `TRACEPARENT` of a child
   * process. Its span is the innermost of `span`, or the attempt's own.
   */
  readonly trace: TraceContext;
  /** Writes to the server's log, with the job's id, task and attempt. Text beyond 4096 characters is cut. */
  readonly log: TaskLog;
};

export type SpanAttributes = { readonly [name: string]: JsonValue | undefined };

/** Input of a task without a type: what the client sent as JSON, its bytes, or null when it sent nothing. */
export type UntypedInput = JsonValue | Uint8Array;
/** Output of a task without a type; `undefined` is nothing. */
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
  /** What jobs ask for: at most 100 characters of [a-z0-9._-], starting with a letter. Unique among all tasks. */
  readonly name: N;
  /** The pool whose workers run it; one of the configured ones. */
  readonly pool: string;
  /** One sentence for `ListTasks`. */
  readonly description?: string;
  /**
   * The message it takes, or a schema of the JSON: a Standard Schema (zod, valibot) or a JSON Schema. Jobs with another
   * input are refused at submit. `run` gets what the schema makes of it. Absent: any JSON, bytes, or nothing.
   */
  readonly input?: I;
  /** The message, or a schema of the JSON, that it returns. Absent: any JSON, bytes, or nothing. */
  readonly output?: O;
  /**
   * What differs from the default retry policy: 4 attempts, 100 ms, twice as much each time, at most 5 s, full jitter.
   * Attempts are 1 to 100, delays 0 to a year in whole milliseconds, the factor 1 to 100.
   */
  readonly retry?: Partial<RetryPolicy>;
  /**
   * Bound on one attempt in whole milliseconds, 1 ms to 7 days, from its start on; a job may ask for less. An attempt that
   * takes longer is asked to stop, and retried like one that failed. Default: an hour.
   */
  readonly timeoutMs?: number;
  /** What it shares with other tasks and from job to job, such as connections: see `defineResource`. */
  readonly resources?: R;
  /**
   * Reads `tasks.<name>` of the configuration (an empty object when it is missing), fills in defaults, and throws an
   * Error whose message says what is wrong. Runs once, at start; what it returns must be plain data.
   */
  settings?(given: { readonly [key: string]: unknown }): S;
  /**
   * What is wrong with an input beyond its type. Paths start at the input: `width`. Runs at submit, in a thread that all
   * tasks of the folder share, so it must be quick, and it cannot be asynchronous: see docs/tasks.md. Of the resources it
   * gets the settings, by the task's names for them.
   */
  check?(input: InputOf<I>, settings: S, resources: SettingsOf<R>): readonly FieldViolation[];
  /** Does the work, in a worker thread. Throwing a `TaskError` tells how to go on; any other error is retried. */
  run(input: InputOf<I>, ctx: TaskContext<S, R>): OutputOf<O> | Promise<OutputOf<O>>;
};

/** A task whose types are not known here. */
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

/** Whether a value came from `defineTask`, also from another copy of this package. */
export function isTask(value: unknown): value is AnyTask {
  return typeof value === "object" && value !== null && brand in value;
}

/** How a task says why it failed and whether trying again may help. */
export class TaskError extends Error {
  override readonly name = "TaskError";
  /** Stable word for programs, at most 64 characters of [a-z0-9_]. */
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
      /** The delay before the next attempt, in place of the policy's backoff. */
      readonly retryAfterMs?: number;
      /** Facts for programs, at most 16384 characters as JSON: of more, the rest is cut. Stored, and shown to the job's client. */
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

/** A failure that trying again cannot help. */
export function permanent(reason: string, message: string, details?: { [key: string]: JsonValue }): TaskError {
  return new TaskError(reason, message, { retryable: false, ...(details && { details }) });
}
