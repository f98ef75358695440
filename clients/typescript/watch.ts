import { create } from "@bufbuild/protobuf";
import type { WatchJobResponse } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { WatchJobRequestSchema, WorkerPoolService } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { Connection } from "./connection.ts";
import { follow } from "./follow.ts";
import type { JobInfo, JobProgress } from "./job-info.ts";
import { toJobInfo, toProgress } from "./job-info.ts";
import type { LogLevelName } from "./names.ts";
import { logLevelNames } from "./names.ts";
import type { Reconnect } from "./reconnect.ts";
import { toDate } from "./result.ts";

export type WatchOptions = {
  /** `event` of the last update that was seen. Default 0: all that the server still has. */
  readonly afterEvent?: number | undefined;
  /** Ends the loop quietly. */
  readonly signal?: AbortSignal | undefined;
};

/** What a task wrote with `ctx.log`. */
export type JobLogLine = {
  readonly level: LogLevelName;
  readonly text: string;
  readonly fields: { readonly [name: string]: unknown };
  /** The attempt that wrote it. */
  readonly attempt: number;
  readonly at: Date | undefined;
};

/** One thing that happened to a job. `event` grows, also from one server process to the next. */
export type JobUpdate = { readonly event: number } & (
  | /** The job as it is now: first, and after every change of its state. With a `result` it is the last. */ {
      readonly kind: "job";
      readonly job: JobInfo;
    }
  | { readonly kind: "progress"; readonly progress: JobProgress }
  | { readonly kind: "log"; readonly line: JobLogLine }
  | /** So many lines and reports came faster than they were read, and were dropped here. */ {
      readonly kind: "dropped";
      readonly count: number;
    }
);

export type WatchContext = { readonly connection: Connection; readonly reconnect: Reconnect };

/**
 * Yields a job as it is, then every change of its state, its progress and its log lines, until it is final. After a lost
 * connection it goes on behind the last update it gave, with the job as it is then.
 */
export async function* watch(
  { connection, reconnect }: WatchContext,
  jobId: string,
  { afterEvent = 0, signal }: WatchOptions = {},
): AsyncGenerator<JobUpdate, void, undefined> {
  let last = afterEvent;
  const open = () => {
    const request = create(WatchJobRequestSchema, { jobId, afterEvent: BigInt(last) });
    return connection.serverStream(WorkerPoolService.method.watchJob, request);
  };
  for await (const response of follow({ open, reconnect, mayEnd: false, signal })) {
    const update = toUpdate(response);
    if (update === undefined) continue;
    last = Math.max(last, update.event);
    yield update;
    if (update.kind === "job" && update.job.result !== undefined) return;
  }
}

function toUpdate({ event: number, update }: WatchJobResponse): JobUpdate | undefined {
  const event = Number(number);
  switch (update.case) {
    case "job":
      return { event, kind: "job", job: toJobInfo(update.value) };
    case "progress":
      return { event, kind: "progress", progress: toProgress(update.value) ?? { fraction: 0, note: "" } };
    case "log": {
      const { level, text, fields = {}, attempt, at } = update.value;
      return {
        event,
        kind: "log",
        line: { level: logLevelNames.get(level) ?? "info", text, fields, attempt, at: toDate(at) },
      };
    }
    case "dropped":
      return { event, kind: "dropped", count: Number(update.value) };
    default:
      return undefined; // from a newer server
  }
}
