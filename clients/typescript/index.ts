/** The TypeScript client of Millpond, published as `millpond/client`. */
export type { CancelAnswer, Cancelled, CancelOptions } from "./cancel.ts";
export type { Clock } from "./clock.ts";
export type { ConnectOptions, MillpondClient, WatchStatsOptions } from "./connect.ts";
export { connect } from "./connect.ts";
export type { Connection, ConnectionOptions } from "./connection.ts";
export { createConnection } from "./connection.ts";
export type { DeadLettersOptions, Deleted, DeleteOptions, RedriveOptions, Redriven } from "./dead-letters.ts";
export type { ListClientsOptions, ListedClients } from "./clients.ts";
export type { Drained, DrainOptions } from "./drain.ts";
export type { CodeName, FieldViolation } from "./error.ts";
export { MillpondClientError } from "./error.ts";
export type { Exchange, ExchangeJob, ExchangeOptions } from "./exchange.ts";
export { openExchange } from "./exchange.ts";
export type { Explanation } from "./explain.ts";
export type { JobFilter, JobsOrFilter } from "./filter.ts";
export type { InputOf, Job, OutputOf, Task, TaskRef } from "./job.ts";
export { job, newJobId, taskOf } from "./job.ts";
export type { AttemptInfo, JobInfo, JobProgress } from "./job-info.ts";
export type { ExecutionOptions, JobOptions, RetryOptions } from "./job-options.ts";
export type { GetJobOptions, ListJobsOptions } from "./jobs.ts";
export type { LogLevelChange, SetLogLevelOptions } from "./log-level.ts";
export type { Done, MapOptions } from "./map.ts";
export type {
  CancelKind,
  CauseName,
  DeadReasonName,
  DeleteKind,
  JobStateName,
  LogLevelName,
  LogThresholdName,
  OutcomeName,
  RedriveKind,
} from "./names.ts";
export type {
  AdviceInfo,
  PausedPool,
  PauseInfo,
  ResizedPool,
  ResizeInfo,
  ResumedPool,
  SizingInfo,
  WorkerBounds,
} from "./pools.ts";
export type { ProfileInfo, ProfileOptions } from "./profile.ts";
export type { JobFailure, JobRefusal, JobResult } from "./result.ts";
export type { ReceivedResult, ResultsOptions } from "./results.ts";
export type { RunOptions } from "./run.ts";
export type {
  ClientSnapshot,
  PercentilesMs,
  PoolSnapshot,
  ResourceSnapshot,
  ScalingDecision,
  ServerSnapshot,
  TaskSnapshot,
} from "./stats.ts";
export type { JobReceipt } from "./submit.ts";
export type { TaskInfo, TaskSchema } from "./task-info.ts";
export type { TraceContext } from "../../src/job/trace.ts";
export { dbBatch, dbExecute, dbQuery, echo, emailSend, fail, imageResize, sleep } from "./tasks.ts";
export type { JobLogLine, JobUpdate, WatchOptions } from "./watch.ts";
