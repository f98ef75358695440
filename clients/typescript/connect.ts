import { create } from "@bufbuild/protobuf";
import {
  ListTasksRequestSchema,
  StatsRequestSchema,
  WatchStatsRequestSchema,
  WorkerPoolService,
} from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { acknowledge } from "./ack.ts";
import { createCall } from "./call.ts";
import type { Cancelled, CancelOptions } from "./cancel.ts";
import { cancelJobs } from "./cancel.ts";
import type { Clock } from "./clock.ts";
import { systemClock } from "./clock.ts";
import { createConnection } from "./connection.ts";
import type { DeadLettersOptions, Deleted, DeleteOptions, RedriveOptions, Redriven } from "./dead-letters.ts";
import { deadLetters, deleteJobs, redrive } from "./dead-letters.ts";
import type { ListClientsOptions, ListedClients } from "./clients.ts";
import { listClients } from "./clients.ts";
import type { Drained, DrainOptions } from "./drain.ts";
import { drain } from "./drain.ts";
import {
  type AdviceInfo,
  advisePools,
  type PausedPool,
  pausePool,
  type ResizedPool,
  resizePool,
  type ResumedPool,
  resumePool,
  type WorkerBounds,
} from "./pools.ts";
import { type LogLevelChange, setLogLevel, type SetLogLevelOptions } from "./log-level.ts";
import type { LogThresholdName } from "./names.ts";
import { profile, type ProfileInfo, type ProfileOptions } from "./profile.ts";
import type { Explanation } from "./explain.ts";
import { explainJob } from "./explain.ts";
import type { JobsOrFilter } from "./filter.ts";
import { follow } from "./follow.ts";
import type { InputOf, Job, OutputOf, Task } from "./job.ts";
import { job } from "./job.ts";
import type { JobInfo } from "./job-info.ts";
import type { JobOptions } from "./job-options.ts";
import type { GetJobOptions, ListJobsOptions } from "./jobs.ts";
import { getJob, listJobs } from "./jobs.ts";
import type { Done, MapOptions } from "./map.ts";
import { map } from "./map.ts";
import { createReconnect } from "./reconnect.ts";
import type { JobResult } from "./result.ts";
import type { ReceivedResult, ResultsOptions } from "./results.ts";
import { results } from "./results.ts";
import type { RunOptions } from "./run.ts";
import { run } from "./run.ts";
import type { ServerSnapshot } from "./stats.ts";
import { toServerSnapshot } from "./stats.ts";
import type { JobReceipt } from "./submit.ts";
import { submitAll, submitOne } from "./submit.ts";
import type { TaskInfo } from "./task-info.ts";
import { toTaskInfo } from "./task-info.ts";
import { createTracing } from "./tracing.ts";
import type { JobUpdate, WatchOptions } from "./watch.ts";
import { watch } from "./watch.ts";

export type ConnectOptions = {
  /** Host and port of the server's gRPC port, such as `127.0.0.1:7717`. */
  readonly address: string;
  /** Who submits. A client sees only its own jobs. Default: `anonymous`. */
  readonly client?: string | undefined;
  /** Bound on one call with all its tries, in milliseconds. Default 30,000; at most 24 days. Streams have none. */
  readonly deadlineMs?: number | undefined;
  /** How often a call that failed in passing is tried again within its deadline. Default 5. */
  readonly retries?: number | undefined;
  /** How long a stream is opened again and again without getting anywhere before it throws. Default 60,000. */
  readonly reconnectMs?: number | undefined;
  /**
   * How often a silent connection is probed, in milliseconds. Default 60,000; 0: never. Below 30,000 a server that
   * drains may lose calls to it (grpc-node#3068), so less is raised to that.
   */
  readonly keepaliveMs?: number | undefined;
  /** For tests. */
  readonly clock?: Clock | undefined;
  /** For tests: in [0, 1). */
  readonly random?: (() => number) | undefined;
};

export type WatchStatsOptions = {
  /** Between two snapshots: 100 to 60000. Default 1000. */
  readonly intervalMs?: number | undefined;
  /** Ends the loop quietly. */
  readonly signal?: AbortSignal | undefined;
};

/** A server as its clients use it. Every failure is a MillpondClientError. */
export type MillpondClient = {
  /** Submits one job; its id once it is on disk. Throws when it is refused. */
  submit<T extends Task>(task: T, input: InputOf<T>, options?: JobOptions): Promise<string>;
  /** Submits many; one receipt for each, in their order. A refused job does not throw, a call that fails does. */
  submitAll(jobs: readonly Job[]): Promise<JobReceipt[]>;
  /**
   * Runs a task on every input, of which there may be endlessly many, and yields each as it is done. Pulls inputs only
   * while fewer than `concurrency` are under way or not yet taken from the loop. A refused input is yielded with its
   * `refusal`; a lost connection is opened again without loss or doubles. Leaving the loop ends it.
   */
  map<T extends Task, I extends InputOf<T>>(
    task: T,
    inputs: Iterable<I> | AsyncIterable<I>,
    options?: MapOptions<I>,
  ): AsyncGenerator<Done<I, OutputOf<T>>, void, undefined>;
  /** Yields a channel's results in their order and waits for more. */
  results(options?: ResultsOptions): AsyncGenerator<ReceivedResult, void, undefined>;
  /** Acknowledges a channel's results up to a cursor; returns the position now acknowledged. */
  ack(channel: string, cursor: number): Promise<number>;
  /**
   * Submits one job and gives its result, like a function call: also when the task failed. The deadline covers the wait
   * for a worker and all attempts; `signal` cancels the job, unless `detach` is set.
   */
  run<T extends Task>(task: T, input: InputOf<T>, options?: RunOptions): Promise<JobResult<OutputOf<T>>>;
  /** Cancels jobs: those that wait at once; those that run are asked to stop, and ended after a grace. */
  cancel(jobs: JobsOrFilter, options?: CancelOptions): Promise<Cancelled>;
  /** Shows one job of this client. Throws `job_not_found`. */
  getJob(jobId: string, options?: GetJobOptions): Promise<JobInfo>;
  /** Yields this client's jobs, newest first. */
  listJobs(options?: ListJobsOptions): AsyncGenerator<JobInfo, void, undefined>;
  /** Yields a job as it is, then its changes of state, progress and log lines, until it is final. Reconnects. */
  watch(jobId: string, options?: WatchOptions): AsyncGenerator<JobUpdate, void, undefined>;
  /** Says why a job is not running now. Throws `job_not_found`. */
  explain(jobId: string): Promise<Explanation>;
  /** Yields this client's DEAD jobs, the newest submitted first. */
  deadLetters(options?: DeadLettersOptions): AsyncGenerator<JobInfo, void, undefined>;
  /**
   * Puts DEAD jobs back into the queue, with all their attempts before them again. Throws `not_dead` when there is one
   * id and it is not DEAD; of several, each has its own answer.
   */
  redrive(jobs: JobsOrFilter, options?: RedriveOptions): Promise<Redriven>;
  /** Removes final jobs for good: by id, or DEAD ones by filter. Throws like `redrive`. */
  deleteJobs(jobs: JobsOrFilter, options?: DeleteOptions): Promise<Deleted>;
  /** Makes the server lease nothing more and refuse jobs, until it is started again. */
  drain(options?: DrainOptions): Promise<Drained>;
  /** Starts no more jobs of a pool until it is resumed, also after a restart; what runs goes on. Throws `unknown_pool`. */
  pausePool(pool: string): Promise<PausedPool>;
  /** Ends the pause of a pool. Throws `unknown_pool`. */
  resumePool(pool: string): Promise<ResumedPool>;
  /**
   * Bounds the workers of a pool on each server, also after a restart; what is not given stays. `configured`: back to the
   * configuration. Throws `unknown_pool`, and `invalid_argument` with the bounds.
   */
  resizePool(pool: string, bounds: Partial<WorkerBounds> | "configured"): Promise<ResizedPool>;
  /** Says of each pool which size would fit it, from what was measured in the last hour. Changes nothing. */
  advisePools(): Promise<AdviceInfo[]>;
  /** Changes which lines the server's log has; `configured`: those of its configuration. */
  setLogLevel(level: LogThresholdName | "configured", options?: SetLogLevelOptions): Promise<LogLevelChange>;
  /**
   * Profiles threads of the server, into files on its disk. There is one at a time: throws `profile_running`, at once. It is
   * never tried again.
   */
  profile(options?: ProfileOptions): Promise<ProfileInfo[]>;
  /** Shows the traffic of all clients, the busiest first: for those who run the server. */
  listClients(options?: ListClientsOptions): Promise<ListedClients>;
  /** Shows what the server is doing now. */
  stats(): Promise<ServerSnapshot>;
  /** Yields a snapshot at once and then at every interval. */
  watchStats(options?: WatchStatsOptions): AsyncGenerator<ServerSnapshot, void, undefined>;
  /** Lists the tasks that jobs may name. */
  tasks(): Promise<TaskInfo[]>;
  /** Ends everything that runs with `client_closed`. Safe to call twice. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

const shortestKeepaliveMs = 30_000;

/** Makes a client. It connects when the first call needs it. */
export function connect(options: ConnectOptions): MillpondClient {
  const { address, client, deadlineMs = 30_000, retries = 5, reconnectMs = 60_000, keepaliveMs = 60_000 } = options;
  const { clock = systemClock, random = Math.random } = options;
  const connection = createConnection({
    address,
    client,
    keepaliveMs: keepaliveMs > 0 ? Math.max(keepaliveMs, shortestKeepaliveMs) : 0,
  });
  const tracing = createTracing(address, client);
  const settings = { connection, clock, random, deadlineMs, retries, reconnectMs, tracing };
  const call = createCall(settings);
  const context = { ...settings, call };
  const { method } = WorkerPoolService;

  async function* watchStats({ intervalMs = 0, signal }: WatchStatsOptions = {}) {
    const request = create(WatchStatsRequestSchema, { intervalMs });
    const open = () => connection.serverStream(method.watchStats, request);
    const reconnect = createReconnect(context);
    for await (const { snapshot } of follow({ open, reconnect, mayEnd: false, signal })) {
      yield toServerSnapshot(snapshot);
    }
  }

  const close = async () => connection.close();

  return {
    submit: async (task, input, jobOptions) => submitOne(context, job(task, input, jobOptions)),
    submitAll: (jobs) => submitAll(context, jobs),
    map: (task, inputs, mapOptions) => map(context, task, inputs, mapOptions),
    results: (resultsOptions) => results({ connection, call, reconnect: createReconnect(context) }, resultsOptions),
    ack: (channel, cursor) => acknowledge(call, channel, cursor),
    run: async (task, input, runOptions = {}) => {
      const { deadlineMs: boundMs, signal, detach, ...jobOptions } = runOptions;
      const result = await run(context, job(task, input, jobOptions), task, { deadlineMs: boundMs, signal, detach });
      return result as JobResult<OutputOf<typeof task>>; // its output was checked against the task's own type
    },
    cancel: (jobs, cancelOptions) => cancelJobs(call, jobs, cancelOptions),
    getJob: (jobId, getOptions) => getJob(call, jobId, getOptions),
    listJobs: (listOptions) => listJobs(call, listOptions),
    watch: (jobId, watchOptions) => watch({ connection, reconnect: createReconnect(context) }, jobId, watchOptions),
    explain: (jobId) => explainJob(call, jobId),
    deadLetters: (deadOptions) => deadLetters(call, deadOptions),
    redrive: (jobs, redriveOptions) => redrive(call, jobs, redriveOptions),
    deleteJobs: (jobs, deleteOptions) => deleteJobs(call, jobs, deleteOptions),
    drain: (drainOptions) => drain(call, drainOptions),
    pausePool: (pool) => pausePool(call, pool),
    resumePool: (pool) => resumePool(call, pool),
    resizePool: (pool, bounds) => resizePool(call, pool, bounds),
    advisePools: () => advisePools(call),
    setLogLevel: (level, levelOptions) => setLogLevel(call, level, levelOptions),
    profile: (profileOptions) => profile(call, profileOptions),
    listClients: (listOptions) => listClients(call, listOptions),
    stats: async () => {
      const { snapshot } = await call(method.stats, create(StatsRequestSchema));
      return toServerSnapshot(snapshot);
    },
    watchStats,
    tasks: async () => {
      const { tasks } = await call(method.listTasks, create(ListTasksRequestSchema));
      return tasks.map(toTaskInfo);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
