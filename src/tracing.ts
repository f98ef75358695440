/**
 * What the server traces of jobs. telemetry/tracing.ts makes spans of it; `createUntraced` is what runs when nothing is
 * exported, and only passes the callers' contexts on.
 */
import type { MillpondError } from "./errors.ts";
import type { Lease, NewJob, Outcome, Settlement } from "./job/job.ts";
import { type SpanRecord, storedTrace } from "./job/trace.ts";
import type { Contexts, GivenContext } from "./job/trace-context.ts";

/** Who makes a request. */
export type Caller = {
  readonly client: string;
  readonly rpcSystem: "grpc" | "connectrpc";
  /** The context of the call, as it came. */
  readonly trace: GivenContext;
};

/** An attempt that ended. Times are milliseconds since 1970 with their fraction. */
export type TracedAttempt = {
  readonly lease: Lease;
  readonly outcome: Outcome;
  readonly startedAt: number;
  readonly finishedAt: number;
  /** 0: it did not begin. */
  readonly tookMs: number;
  readonly spans?: readonly SpanRecord[];
  readonly droppedSpans?: number;
};

/** A job that was cancelled while it waited. */
export type AcceptedJob = Pick<NewJob, "id" | "client" | "task" | "pool" | "trace" | "submittedAt">;

export type CancelledJob = Pick<NewJob, "id" | "client" | "task" | "pool" | "trace" | "submittedAt" | "runAt"> & {
  /** That it had, none of which runs. */
  readonly attempts: number;
  readonly redrives: number;
};

/** What became of a job that was submitted. */
export type Answer =
  | { readonly kind: "accepted" | "duplicate" }
  | { readonly kind: "refused"; readonly error: MillpondError };

/** One request that submits jobs. */
export type Submission = {
  /** What is stored with the next of its jobs, in their order. `own`: the context that the job itself carries. */
  next(own: GivenContext | undefined): string | null;
  /** The client is over its rate, and this request waits for this many milliseconds. */
  throttled(waitMs: number): void;
  /** One answer for each job, in their order. Safe to repeat, as `fail` is: the first counts. */
  end(answers: readonly Answer[]): void;
  /** All of it was refused. */
  fail(error: unknown): void;
};

/** A job as a link names it. `trace`: as it is stored. */
export type LinkedJob = { readonly id: string; readonly trace: string | null };

/** One request that does something with jobs that are there already; its span is linked to theirs. */
export type Operation = {
  link(jobs: readonly LinkedJob[]): void;
  /** Safe to repeat, as `fail` is: the first counts. */
  end(): void;
  fail(error: unknown): void;
};

export type TracingNumbers = {
  /** Spans that were handed to a collector and taken. */
  readonly exported: number;
  /** Spans that were dropped: the queue was full, or the collector did not take them. */
  readonly dropped: number;
  /** Spans that wait for their export. */
  readonly waiting: number;
  /** Parts of callers' contexts that were malformed or too long, and ignored. */
  readonly droppedContexts: number;
};

export type Tracing = {
  /** `method`: its name in `WorkerPoolService`. `own`: a context of this request that goes before the call's. */
  submission(caller: Caller, method: string, own?: GivenContext): Submission;
  operation(caller: Caller, method: string, name: string): Operation;
  /** These jobs are durable. */
  accepted(jobs: readonly AcceptedJob[]): void;
  /** These attempts ended, and what became of their jobs is durable. */
  settled(attempts: readonly TracedAttempt[], settlements: readonly Settlement[]): void;
  /** These jobs waited, and that they are CANCELLED is durable. */
  cancelled(jobs: readonly CancelledJob[]): void;
  /** These results were read from the store at this time, and are handed to the client's stream now. */
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
