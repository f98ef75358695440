/**
 * Every metric of the server, in one table: docs/metrics.md, `/metrics` and OTLP follow from it. Names and units are
 * OpenTelemetry's (https://opentelemetry.io/docs/specs/semconv/general/metrics/): seconds, bytes, and `{what}` for counts.
 */
import { processRows } from "./process-table.ts";
import { counter, gauge, histogram, type MetricKind, none, type Row } from "./row.ts";

export type Metric = Required<Row> & { readonly name: MetricName };

/** Bucket bounds from half a millisecond to an hour. */
const seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600];
const shortSeconds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const powersOfTwo = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

const ofTask = ["task", "pool"];
const ofPool = ["pool"];

const rows = {
  "millpond.jobs.admitted": counter("{job}", [...ofTask, "outcome"], {
    description: "Jobs that were submitted and not refused. `outcome`: `accepted`, or `duplicate` of an existing job.",
    advice: "Many duplicates: clients repeat submits because responses are lost or late.",
  }),
  "millpond.jobs.refused": counter("{job}", ["reason"], {
    description: "Jobs that were refused, by reason.",
    advice:
      "[errors.md](errors.md) has the reasons. `queue_full`: add workers or raise `pools.<name>.maxQueued`; `rate_limited`: see `rate`; `disk_full`: free disk space.",
  }),
  "millpond.jobs.finished": counter("{job}", [...ofTask, "state"], {
    description: "Jobs that became final. `state`: `succeeded`, `dead` or `cancelled`.",
    advice: "Its rate is the server's throughput.",
  }),
  "millpond.jobs.dead": counter("{job}", [...ofTask, "reason"], {
    description: "Jobs that became dead letters. `reason`: `exhausted`, `permanent`, `expired` or `poison`.",
    advice:
      "`millpond dead list` shows why they failed, `millpond dead redrive` puts them back once the cause is fixed.",
  }),
  "millpond.jobs.redriven": counter("{job}", ofPool, {
    description: "Dead letters that were put back into the queue.",
  }),
  "millpond.jobs.stored": gauge("{job}", ["pool", "state"], {
    description: "Jobs in the store. `state`: `queued`, `running`, `succeeded`, `dead` or `cancelled`.",
    advice:
      "Dead letters stay until they are redriven, deleted or pruned; unacknowledged results stay for `retention`.",
  }),
  "millpond.jobs.running": gauge("{job}", ofPool, {
    description: "Jobs that run, or whose outcome is not on disk yet.",
  }),
  "millpond.jobs.suspects": gauge("{job}", ofPool, {
    description: "Jobs that run in a process of their own, because two server processes died while they ran.",
    advice: 'Above 0: a task kills its process. See "Who killed the process" in [guarantees.md](guarantees.md).',
  }),
  "millpond.job.duration": histogram("s", ofTask, {
    description:
      "From the submit of a job until its outcome is on disk, including its delay. Only jobs that ran, became final and were not redriven.",
    bounds: seconds,
  }),
  "millpond.queue.depth": gauge("{job}", ofPool, {
    description:
      "Jobs that wait, including those that are not due yet and those that are leased but wait for a worker.",
    advice: "Grows while jobs arrive faster than workers finish them.",
  }),
  "millpond.queue.eligible": gauge("{job}", ofPool, {
    description:
      "Waiting jobs that a worker could run now, counted up to 10,000: they are due, and the pool is not paused. From 1,000 on it may be a second old.",
  }),
  "millpond.queue.limit": gauge("{job}", ofPool, {
    description: "Bound on `millpond.queue.depth`: submits beyond it are refused with `queue_full`.",
  }),
  "millpond.queue.oldest_age": gauge("s", ofPool, {
    description: "How long the oldest due job has waited; 0 when none is due.",
    advice: "Grows while the depth does not: jobs of low priority starve, or the workers are busy with long jobs.",
  }),
  "millpond.queue.wait": histogram("s", ofTask, {
    description: "From the time a job is due until its attempt starts.",
    advice: "Grows while workers are idle: the store is slow, see `millpond.store.commit.duration`.",
    bounds: seconds,
  }),
  "millpond.attempts": counter("{attempt}", [...ofTask, "outcome"], {
    description:
      "Attempts that ended. `outcome`: `succeeded`, `failed`, `timed_out`, `cancelled`, `expired` or `lost`; released jobs are not counted.",
    advice: "`lost`: threads or processes die while they run this task.",
  }),
  "millpond.attempt.duration": histogram("s", ofTask, {
    description: "From the start of an attempt to its end.",
    bounds: seconds,
  }),
  "millpond.retries": counter("{attempt}", ofTask, {
    description: "Attempts after which the job was queued again.",
    advice: "Rises before dead letters do: something the task depends on is failing.",
  }),
  "millpond.pool.workers": gauge("{thread}", ofPool, { description: "Worker threads that exist." }),
  "millpond.pool.busy_workers": gauge("{thread}", ofPool, { description: "Worker threads that run at least one job." }),
  "millpond.pool.target": gauge("{thread}", ofPool, {
    description: "Worker threads that the autoscaler wants; missing ones start when a job arrives.",
    advice: "Stays below the maximum while jobs wait: `millpond stats` shows why.",
  }),
  "millpond.pool.concurrency": gauge("{job}", ofPool, { description: "Jobs that one worker thread runs at once." }),
  "millpond.pool.min_workers": gauge("{thread}", ofPool, {
    description: "Lower bound on worker threads: as many are kept when idle.",
  }),
  "millpond.pool.max_workers": gauge("{thread}", ofPool, {
    description: "Upper bound on worker threads.",
    advice: "If running jobs stay at this number while the queue grows, the pool is at its limit.",
  }),
  "millpond.pool.broken": gauge("", ofPool, {
    description: "1 while no worker of the pool can run a job, else 0.",
    advice: "Threads die or hang while they load tasks; the server's log has the reason.",
  }),
  "millpond.pool.paused": gauge("", ofPool, {
    description: "1 while the pool is paused, else 0.",
    advice: "Its jobs wait: `millpond pools list` shows who paused it, `millpond pools resume` resumes it.",
  }),
  "millpond.not_ready": gauge("", ["reason"], {
    description:
      "1 while the server is not ready, else 0. `reason`: `store_failed`, `draining`, `disk_full` or `pool_broken`, as `/readyz` has it.",
    advice: "`/readyz` has the remedy.",
  }),
  "millpond.throttle.time": counter("s", none, {
    description: "Total time that submits on open streams waited because of their client's rate.",
    advice: "Clients submit more than `rate` allows; `millpond top` shows which.",
  }),
  "millpond.throttle.jobs": counter("{job}", none, { description: "Jobs that waited because of their client's rate." }),
  "millpond.store.commit.duration": histogram("s", none, {
    description:
      "Duration of one transaction of the store, from its start until it is durable. None for a store in memory.",
    advice: "Mostly the disk's sync: above about 20 ms, everything that clients wait for is slow.",
    bounds: shortSeconds,
  }),
  "millpond.store.commit.size": histogram("{call}", none, {
    description: "Calls to the store that shared one transaction.",
    advice: "Large under load is good: as many calls share one sync.",
    bounds: powersOfTwo,
  }),
  "millpond.store.size": gauge("By", none, { description: "Size of the store's files on disk." }),
  "millpond.store.free": gauge("By", none, {
    description: "Free space inside the store's files: new jobs use it before the files grow.",
  }),
  "millpond.disk.free": gauge("By", none, {
    description: "Free space on the store's disk. None for a store in memory.",
    advice: "Below `millpond.disk.least` submits are refused with `disk_full`.",
  }),
  "millpond.disk.least": gauge("By", none, {
    description: "Free space, including that inside the store, below which submits are refused.",
  }),
  "millpond.rpc.calls": counter("{call}", ["rpc.method", "rpc.response.status_code"], {
    description: "Well-formed calls that have ended, by method and gRPC status; a stream counts once, when it ends.",
    advice:
      "`INTERNAL` is a bug: the server's log has it. `UNAVAILABLE` after a failure of the store, or while draining.",
  }),
  "millpond.rpc.open_calls": gauge("{call}", ["rpc.method"], { description: "Calls and streams that are open now." }),
  "millpond.connection.open": gauge("{connection}", none, { description: "Connections on both ports." }),
  "millpond.connection.limit": gauge("{connection}", none, {
    description: "Bound on `millpond.connection.open`, `limits.connections`.",
  }),
  "millpond.connection.refused": counter("{connection}", ["limit"], {
    description: "Connections that were closed at once. `limit`: `connections` or `connectionsPerAddress`.",
  }),
  "millpond.request.held": gauge("By", none, { description: "Bytes of requests that are arriving." }),
  "millpond.request.limit": gauge("By", none, {
    description: "Bound on `millpond.request.held`, `limits.requestMiB`.",
  }),
  "millpond.request.cut": counter("{request}", ["reason"], {
    description: "Requests that were cut off while they arrived. `reason`: `stalled`, `fragmented` or `crowded_out`.",
    advice: "Clients that hang, or an attack.",
  }),
  "millpond.result.readers": gauge("{stream}", none, { description: "Streams that follow a channel's results." }),
  "millpond.result.unread": gauge("By", none, {
    description: "Results that were read from the store and wait in memory until their client reads them.",
    advice: "Near its limit: some clients read slowly, and others wait for room.",
  }),
  "millpond.result.limit": gauge("By", none, { description: "Bound on `millpond.result.unread`, `limits.unreadMiB`." }),
  "millpond.log.dropped": counter("{line}", none, {
    description: "Lines of the server's log that were lost because they could not be written.",
    advice: "Whatever reads standard error is too slow, or its disk is full.",
  }),
  "millpond.span.dropped": counter("{span}", none, {
    description: "Spans that were not exported: too many waited, or the collector did not accept them.",
    advice: "The collector at `OTEL_EXPORTER_OTLP_ENDPOINT` is unreachable or too slow. Jobs are not affected.",
  }),
  "millpond.trace_context.malformed": counter("{context}", none, {
    description: "Trace contexts of callers that were malformed and ignored.",
  }),
  "millpond.metric.failed_exports": counter("{export}", none, {
    description: "Pushes of metrics over OTLP that failed.",
  }),
  "millpond.info": gauge("", ["version", "nodejs_version", "store"], {
    description: "Always 1; its attributes describe the server. `store`: `sqlite` or `memory`.",
  }),
  ...processRows,
} as const satisfies { readonly [name: string]: Row };

export type MetricName = keyof typeof rows;
type NameOf<K extends MetricKind> = { [N in MetricName]: (typeof rows)[N]["kind"] extends K ? N : never }[MetricName];
export type CounterName = NameOf<"counter">;
export type HistogramName = NameOf<"histogram">;
export type ObservedName = NameOf<"counter" | "gauge">;

/** In the order in which they are shown. */
export const metrics: readonly Metric[] = Object.entries<Row>(rows).map(([name, row]) => ({
  ...{ advice: "", bounds: [] },
  ...row,
  name: name as MetricName,
}));
