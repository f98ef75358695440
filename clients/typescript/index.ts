/** The TypeScript client of Millpond, published as `millpond/client`. */
export type { Clock } from "./clock.ts";
export type { ConnectOptions, MillpondClient, TaskInfo, WatchStatsOptions } from "./connect.ts";
export { connect } from "./connect.ts";
export type { Connection, ConnectionOptions } from "./connection.ts";
export { createConnection } from "./connection.ts";
export type { CodeName, FieldViolation } from "./error.ts";
export { MillpondClientError } from "./error.ts";
export type { Exchange, ExchangeJob, ExchangeOptions } from "./exchange.ts";
export { openExchange } from "./exchange.ts";
export type { InputOf, Job, JobOptions, OutputOf, Task, TaskRef } from "./job.ts";
export { job, newJobId } from "./job.ts";
export type { JobInfo, ListJobsOptions } from "./jobs.ts";
export type { Done, MapOptions } from "./map.ts";
export type { JobFailure, JobRefusal, JobResult, JobStateName } from "./result.ts";
export type { ReceivedResult, ResultsOptions } from "./results.ts";
export type { PercentilesMs, PoolSnapshot, ServerSnapshot, TaskSnapshot } from "./stats.ts";
export type { JobReceipt } from "./submit.ts";
export { echo, fail, imageResize, sleep } from "./tasks.ts";
