/** Every setting of the server in one table: its name in the file, flag, variable, default, unit, bound and meaning. */
import {
  type Check,
  type GivenTo,
  integer,
  list,
  named,
  number,
  oneOf,
  orNothing,
  poolShape,
  settingsOf,
  shape,
  text,
  type ValueFrom,
  workers,
  yesOrNo,
} from "./checks.ts";

type Option<Key extends string, C extends Check> = {
  /** Dotted path in the file. */
  readonly key: Key;
  /** Derived from the key, such as `--grpc-port`. */
  readonly flag: string;
  /** Derived from the key, such as `MILLPOND_GRPC_PORT`. */
  readonly env: string;
  readonly default: GivenTo<C>;
  /** Unit of a number; empty for anything else. */
  readonly unit: string;
  readonly check: C;
  readonly doc: string;
};

/** Of numbers, by how their keys end. */
const units = { Ms: "ms", Bytes: "bytes", MiB: "MiB" };
const mebibyte = 2 ** 20;
/** A smaller message would have no room for outputs beside its other fields. */
const smallestMessageBytes = 256 * 1024;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** The guarantee for ids: a used one is remembered for at least ten minutes. */
const shortestRetentionMs = 600_000;
const longestRetentionMs = 3650 * dayMs;

const hostName = text(/^[A-Za-z0-9.:_-]{1,253}$/, "an IP address or a host name");
const port = integer(0, 65_535);
const servedName = text(/^\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/, "a host name without a port, or a dot and a name");
const webOrigin = text(/^[a-z][a-z0-9+.-]*:\/\/[^\s/?#]+$/i, "an origin, such as https://app.example:8443");
const path = text(/^[^\0]+$/, "a path");
const webAddress = text(/^https?:\/\/[^\s]{1,2000}$/, "an http or https URL", URL.canParse);
const retention = integer(shortestRetentionMs, longestRetentionMs);
const keptJobs = integer(1000, 1_000_000_000);
const keptMiB = integer(16, 100_000_000);
const perSecond = number(0, 1_000_000);
const burst = integer(1, 1_000_000);

/** All settings, in the order in which docs/configuration.md shows them. */
export const options = [
  option("grpc.host", hostName, "127.0.0.1", { doc: "Address that native gRPC listens on." }),
  option("grpc.port", port, 7717, { doc: "Port of native gRPC. 0: any free one." }),
  option("http.host", hostName, "127.0.0.1", {
    doc: "Address that Connect, gRPC-Web and the pages such as /readyz listen on.",
  }),
  option("http.port", port, 7718, { doc: "Port of Connect, gRPC-Web and the pages such as /readyz. 0: any free one." }),
  option("http.hosts", list(servedName), [], {
    doc:
      "Names, besides those of loopback and `http.host`, under which the HTTP port is reached; requests for others are " +
      "refused. `.example.com` means example.com and all names below it. Where `http.host` is not loopback, addresses and " +
      "names without a dot are served as well.",
  }),
  option("http.origins", list(webOrigin), [], {
    doc: "Origins of web pages that may call the HTTP port, such as `https://app.example:8443`; those of others are refused.",
  }),
  option("allowInsecure", yesOrNo(), false, {
    doc:
      "Allows `grpc.host` and `http.host` to be addresses that other machines can reach, although there is neither " +
      "encryption nor authentication.",
  }),
  option("dataDir", path, "./millpond-data", { doc: "Folder of the store; created if it does not exist." }),
  option("store", oneOf("sqlite", "memory"), "sqlite", {
    doc: "`sqlite`: the file `millpond.sqlite` in `dataDir`. `memory`: every job is lost when the server stops.",
  }),
  option("taskLoadMs", integer(100, hourMs), 30_000, {
    doc:
      "How long the import of one task file may take. If it takes longer when the server starts, the start fails; if it takes " +
      "longer in a worker, the worker is replaced.",
  }),
  option("taskCheckMs", integer(10, 60_000), 1_000, {
    doc: "How long a task's `check` may take for one input. Jobs whose check takes longer are refused.",
  }),
  option("tasksDir", orNothing(path), null, {
    doc: "Folder with your own task files; docs/tasks.md describes what it may contain.",
  }),
  option("watch", yesOrNo(), false, {
    doc:
      "For development: reloads the tasks of `tasksDir` when their files change. Running jobs end with the code with " +
      "which they started.",
  }),
  option("limits.messageBytes", integer(smallestMessageBytes, 256 * mebibyte), 4 * mebibyte, {
    doc: "Bound on one request message.",
  }),
  option("limits.inputBytes", integer(1, 256 * mebibyte), mebibyte, {
    doc: "Bound on the encoded input of one job. At most `limits.messageBytes`.",
  }),
  option("limits.values", integer(1_000, 10_000_000), 20_000, {
    unit: "values",
    doc:
      "Bound on the values of one message, or of one output in JSON: fields, items of lists, names and values in maps and JSON. " +
      "Reading a message blocks the server, for up to 50 ms with 20,000 values.",
  }),
  option("limits.requestMiB", integer(1, 65_536), 128, {
    doc:
      "Bound on the bytes of requests that are still arriving, of all connections and both ports together. Near the bound, " +
      "large requests are read one after the other; those that cannot be slowed down are cut off.",
  }),
  option("limits.jobsPerSubmit", integer(1, 100_000), 1000, { unit: "jobs", doc: "Bound on the jobs of one submit." }),
  option("limits.connections", integer(1, 1_000_000), 10_000, {
    unit: "connections",
    doc: "Bound on the connections, to both ports together.",
  }),
  option("limits.connectionsPerAddress", integer(1, 1_000_000), 1000, {
    unit: "connections",
    doc:
      "Bound on the connections from one address (IPv6: from one /64 network), to both ports together. It does not apply to " +
      "loopback, which all clients of this machine share. Behind a proxy all clients have the proxy's address.",
  }),
  option("limits.streams", integer(1, 10_000), 100, {
    unit: "calls",
    doc: "Bound on the calls open at once on one connection. On the HTTP port, a connection on which more requests than this wait is closed.",
  }),
  option("limits.metadataBytes", integer(1024, mebibyte), 16_384, { doc: "Bound on the metadata of one call." }),
  option("limits.resultStreams", integer(1, 10_000), 10, {
    unit: "streams",
    doc: "Bound on the result streams of one client.",
  }),
  option("limits.unreadMiB", integer(1, 65_536), 32, {
    doc:
      "Bound on the results, of all streams together, that were read from the store and not yet sent to the client; at " +
      "least four times `limits.messageBytes`. A stream for which there is no room waits.",
  }),
  option("limits.watches", integer(1, 10_000), 100, {
    unit: "calls",
    doc: "Bound on the `WatchJob` and `Run` calls of one client.",
  }),
  option("limits.statsWatches", integer(1, 10_000), 10, {
    unit: "calls",
    doc: "Bound on the `WatchStats` calls of one client.",
  }),
  option("limits.diskFreeMiB", orNothing(integer(0, 1_048_576)), null, {
    doc:
      "Free space in MiB on the store's disk below which submits are refused; 0: never. Default: 256 MiB, or, on a disk below " +
      "5 GiB, a twentieth of it, at least 32 MiB. Free space inside the store's files counts too, as long as 32 MiB are free " +
      "outside them.",
  }),
  option("limits.sessionMemoryMiB", integer(1, 1024), 16, { doc: "Bound on the memory of one connection." }),
  option("rate.perSecond", perSecond, 0, {
    unit: "jobs/s",
    doc: "Jobs that each client may submit per second. 0: no limit.",
  }),
  option("rate.burst", burst, 1000, { unit: "jobs", doc: "Jobs that a client may submit at once after a pause." }),
  option(
    "rate.clients",
    named(
      shape({ perSecond, burst: burst.optional() }),
      /^[A-Za-z0-9._@-]{1,100}$/,
      "1 to 100 characters of [A-Za-z0-9._@-]",
    ),
    {},
    {
      doc:
        "Other rates for some clients, by name: `{nightly-import: {perSecond: 50, burst: 5000}}`. A missing `burst` is " +
        "`rate.burst`.",
    },
  ),
  option(
    "pools",
    named(poolShape, /^[a-z][a-z0-9_-]{0,49}$/, "a letter, then at most 49 of [a-z0-9_-]"),
    {},
    {
      doc:
        "Pools by name: `{scrape: {work: limited, workers: 25, maxQueued: 100000}}`, besides `cpu` and `io`, which are " +
        "always there. `workers` is " +
        `${workers}. Without it \`min\` is 0, and \`max\` depends on \`work\`: \`cpu\` has as many as cores, \`mixed\` twice and ` +
        "`io` four times as many; `limited` requires `workers`: as many as the limit outside allows. Workers above `min` start " +
        "when there is work for them, and end after being idle for `autoscale.idleMs`. `concurrency` is how many jobs one " +
        "worker runs at once: an integer from 1 to 1024, and 1 if `work` is `cpu`. Default: 32 if `work` is `io`, else 1. " +
        "`maxQueued` is the bound on waiting jobs.",
    },
  ),
  option("autoscale.jobsPerWorker", integer(1, 10_000), 5, {
    unit: "jobs",
    doc: "A pool gets more workers, twice as many at most, when more jobs than this wait for each that it has.",
  }),
  option("autoscale.waitMs", integer(0, hourMs), 1_000, {
    doc: "A pool also gets one more worker when all are busy and a job waits for longer than this.",
  }),
  option("autoscale.idleMs", integer(100, dayMs), 30_000, {
    doc: "A worker above a pool's `min` ends when it was not needed, and the pool did not grow, for this long.",
  }),
  option("autoscale.pollMs", integer(10, 60_000), 100, {
    doc: "How often the autoscaler decides how many workers each pool has.",
  }),
  option("autoscale.cores", orNothing(integer(1, 1024)), null, {
    unit: "cores",
    doc: "Bound on the workers of all pools for `cpu` work together, beyond the `min` of each. Default: the number of cores.",
  }),
  option("autoscale.memoryMiB", orNothing(integer(64, 16_777_216)), null, {
    doc:
      "Bound on the memory of the server's process: no worker above `min` starts that would exceed it. Default: nine tenths " +
      "of the container's limit, or of the machine's memory.",
  }),
  option("autoscale.workerMiB", integer(1, 65_536), 32, {
    doc: "Memory that one worker is expected to take, for `autoscale.memoryMiB`. Raise it if your tasks keep much in memory.",
  }),
  option(
    "tasks",
    settingsOf("a task name"),
    {},
    {
      doc: "Settings of tasks, by task name: `{image.resize: {maxWidth: 8000}}`. The documentation of each task lists them.",
    },
  ),
  option(
    "resources",
    settingsOf("a resource name"),
    {},
    {
      doc:
        "Settings of resources that tasks share, such as connections, by resource name; see docs/tasks.md. Passwords belong in " +
        "environment variables or separate files, which the settings name.",
    },
  ),
  option("retention.acknowledgedMs", retention, hourMs, {
    doc: "How long a job is kept whose result was acknowledged.",
  }),
  option("retention.unacknowledgedMs", retention, dayMs, {
    doc: "How long a job is kept whose result is not acknowledged.",
  }),
  option("retention.deadMs", retention, 30 * dayMs, { doc: "How long a DEAD job is kept, acknowledged or not." }),
  option("retention.finishedJobs", keptJobs, 10_000_000, {
    unit: "jobs",
    doc: "Bound on the SUCCEEDED and CANCELLED jobs kept.",
  }),
  option("retention.finishedMiB", keptMiB, 20_480, {
    doc: "Bound on the records of the SUCCEEDED and CANCELLED jobs kept: inputs, outputs, failures, names.",
  }),
  option("retention.deadJobs", keptJobs, 1_000_000, { unit: "jobs", doc: "Bound on the DEAD jobs kept." }),
  option("retention.deadMiB", keptMiB, 10_240, { doc: "Bound on the records of the DEAD jobs kept." }),
  option("leaseMs", integer(1_000, hourMs), 30_000, {
    doc: "How long a job is leased. The server renews the leases of its running jobs; a job whose lease expires is tried again.",
  }),
  option("alerts.webhook", orNothing(webAddress), null, {
    doc: "URL to which jobs that became DEAD are sent by POST, as JSON; see docs/configuration.md. They are logged in any case.",
  }),
  option("drainMs", integer(0, hourMs), 30_000, { doc: "How long running jobs may take to finish at shutdown." }),
  option("graceMs", integer(0, 600_000), 5000, { doc: "How long a job may take to stop once it was asked to." }),
  option("slowReaderMs", integer(100, hourMs), 30_000, {
    doc: "How long a result stream may stay unread before it is ended.",
  }),
  option("slowSenderMs", integer(100, hourMs), 30_000, {
    doc:
      "How long a client may take for the head of a request, for each 16 KiB of its body and for its end, before the request " +
      "is cut off; and for a whole message while others wait for room in `limits.requestMiB`.",
  }),
  option("log.format", oneOf("auto", "json", "pretty"), "auto", {
    doc:
      "`json`: one object per line. `pretty`: for people, in colours unless NO_COLOR is set. `auto`: `pretty` if standard error " +
      "is a terminal, else `json`.",
  }),
  option("tracing.jobsPerSecond", integer(0, 1_000_000), 100, {
    unit: "jobs/s",
    doc: "If traces are exported: bound on the jobs traced per second, of those whose callers send no trace context. 0: none.",
  }),
  option("log.level", oneOf("debug", "info", "warn", "error", "silent"), "info", {
    doc: "The least serious lines logged.",
  }),
] as const;

/** Settings that may hold a secret: no message shows what they are. */
export const secretKeys: readonly Key[] = ["alerts.webhook", "resources"];

/** Variables that start with MILLPOND_ and are not settings of the server. */
export const otherVariables = {
  MILLPOND_CONFIG:
    "The configuration file, for `serve` and `health`; the flag is --config. Default: `millpond.yaml` in the current " +
    "folder, if it exists.",
  MILLPOND_ADDRESS: "The server's gRPC address, for every command that calls one; the flag is --address.",
  MILLPOND_CLIENT: "The client's name, for every command that calls a server; the flag is --client.",
} as const;

export type AnyOption = (typeof options)[number];
export type Key = AnyOption["key"];
type ValueOf<K extends Key> = Readonly<ValueFrom<Extract<AnyOption, { key: K }>["check"]>>;
/** All settings, nested by section, before those that depend on others are derived. */
export type AsGiven = {
  readonly [K in Key as K extends `${infer Section}.${string}` ? Section : K]: K extends `${infer Section}.${string}`
    ? { readonly [L in Key as L extends `${Section}.${infer Name}` ? Name : never]: ValueOf<L> }
    : ValueOf<K>;
};

/** `unit`: of a number whose key does not end with it. */
function option<const K extends string, C extends Check>(
  key: K,
  check: C,
  fallback: GivenTo<C>,
  { unit, doc }: { readonly unit?: string; readonly doc: string },
): Option<K, C> {
  const words = key.split(/\.|(?<=[a-z])(?=[A-Z][a-z])/).map((word) => word.toLowerCase());
  return {
    key,
    flag: `--${words.join("-")}`,
    env: `MILLPOND_${words.join("_").toUpperCase()}`,
    default: fallback,
    unit: unit ?? Object.entries(units).find(([ending]) => key.endsWith(ending))?.[1] ?? "",
    check,
    doc,
  };
}
