/**
 * The events of jobs that the server traces. telemetry/tracing.ts turns them into spans; `createUntraced` is used when
 * nothing is exported, and only passes the callers' contexts on.
 */
import type { MillpondError } from "./errors.ts";
import type { Lease, NewJob, Outcome, Settlement } from "./job/job.ts";
import { type SpanRecord, storedTrace } from "./job/trace.ts";
import type { Contexts, GivenContext } from "./job/trace-context.ts";

/** Who makes a request. */
export type Caller = {
  readonly client: string;
  readonly rpcSystem: "grpc" | "connectrpc";
  /** The context of the call, unchecked. */
  readonly trace: GivenContext;
};

/** An attempt that ended. Times are milliseconds since 1970 with their fraction. */
export type TracedAttempt = {
  readonly lease: Lease;
  readonly outcome: Outcome;
  readonly startedAt: number;
  readonly finishedAt: number;
  /** 0: the attempt did not start. */
  readonly tookMs: number;
  readonly spans?: readonly SpanRecord[];
  readonly droppedSpans?: number;
};

/** A job that was cancelled while it waited. */
export type AcceptedJob = Pick<NewJob, "id" | "client" | "task" | "pool" | "trace" | "submittedAt">;

export type CancelledJob = Pick<NewJob, "id" | "client" | "task" | "pool" | "trace" | "submittedAt" | "runAt"> & {
  /** Attempts that the job had before; none of them runs. */
  readonly attempts: number;
  readonly redrives: number;
};

/** The answer to one submitted job. */
export type Answer =
  | { readonly kind: "accepted" | "duplicate" }
  | { readonly kind: "refused"; readonly error: MillpondError };

/** One request that submits jobs. */
export type Submission = {
  /** The trace to store with the next job of the request, in order. `own`: the context of the job itself. */
  next(own: GivenContext | undefined): string | null;
  /** Records that the client exceeds its rate and that the request waits for this many milliseconds. */
  throttled(waitMs: number): void;
  /** One answer for each job, in their order. Safe to repeat, as `fail` is: the first counts. */
  end(answers: readonly Answer[]): void;
  /** The whole request was refused. */
  fail(error: unknown): void;
};

/** A job as a link names it. `trace`: as it is stored. */
export type LinkedJob = { readonly id: string; readonly trace: string | null };

/** One request on existing jobs; its span is linked to theirs. */
export type Operation = {
  link(jobs: readonly LinkedJob[]): void;
  /** Safe to repeat, as `fail` is: the first counts. */
  end(): void;
  fail(error: unknown): void;
};

export type TracingNumbers = {
  /** Spans that a collector accepted. */
  readonly exported: number;
  /** Spans that were dropped: the queue was full, or the collector did not accept them. */
  readonly dropped: number;
  /** Spans that wait to be exported. */
  readonly waiting: number;
  /** Callers' contexts, or parts of them, that were ignored because they were malformed or too long. */
  readonly droppedContexts: number;
};

export type Tracing = {
  /**
   * `method`: its name in `WorkerPoolService`. `own`: a context of this request, which has precedence over the call's.
   */
  submission(caller: Caller, method: string, own?: GivenContext): Submission;
  operation(caller: Caller, method: string, name: string): Operation;
  /** These jobs are durable. */
  accepted(jobs: readonly AcceptedJob[]): void;
  /** These attempts ended, and what became of their jobs is durable. */
  settled(attempts: readonly TracedAttempt[], settlements: readonly Settlement[]): void;
  /** These jobs were waiting, and their state CANCELLED is durable. */
  cancelled(jobs: readonly CancelledJob[]): void;
  /** These results were read from the store at `readAt` and are written to the client's stream now. */
  delivered(results: readonly { readonly id: string }[], readAt: number): void;
  numbers(): TracingNumbers;
};

export function createUntraced(contexts: Contexts): Tracing {
  const operation: Operation = { link() {}, end() {}, fail() {} };
  return {
    submission: ({ trace }, _method, request) => ({
      next(own) {
        const context = contexts.read(own, request, trace);
        return context && storedTrace(context, null);
      },
      throttled() {},
      end() {},
      fail() {},
    }),
    operation: () => operation,
    accepted() {},
    settled() {},
    cancelled() {},
    delivered() {},
    numbers: () => ({ exported: 0, dropped: 0, waiting: 0, droppedContexts: contexts.dropped() }),
  };
}
