/** The composition root: creates the parts of the server and starts them in order. */
import { randomUUID } from "node:crypto";
import { availableParallelism, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import type { Worker } from "node:worker_threads";
import { notBefore, systemClock as clock } from "./clock.ts";
import type { Config } from "./config.ts";
import { serviceLinksIn } from "./config/service-links.ts";
import { createAlerts } from "./engine/settle/alerts.ts";
import type { DiskWatermark } from "./engine/admit/disk-watermark.ts";
import { createDraining } from "./engine/upkeep/draining.ts";
import { createEngine, type EngineParts } from "./engine/engine.ts";
import { createPoolWatch } from "./engine/upkeep/pool-watch.ts";
import { createPoolAdviser } from "./engine/watch/pool-adviser.ts";
import { createReadiness } from "./engine/upkeep/readiness.ts";
import { messageOf } from "./errors.ts";
import { createSignal, type Service as RunningPart, startAll, stopAll } from "./lifecycle.ts";
import { newId } from "./job/id.ts";
import { maxChunk } from "./pool/chunk.ts";
import { createResourceHost } from "./pool/resources/host.ts";
import type { Bounds } from "./pool/size.ts";
import { loadTasks } from "./pool/tasks.ts";
import { guardTimers } from "./rpc/boundary.ts";
import { createService } from "./rpc/service.ts";
import { followingRegistry } from "./rpc/task-types.ts";
import { prepareStore, watchDisk } from "./server/data-folder.ts";
import { countCommits, observeServer } from "./server/metrics.ts";
import { createFrontEnds } from "./server/front-ends.ts";
import { createIdleCollection } from "./server/idle-collection.ts";
import { createPools } from "./server/pools.ts";
import { scalingOf } from "./server/scaling.ts";
import { createServerProfiler, profileAll } from "./server/profiler.ts";
import { createReloader, type Reload } from "./server/reload.ts";
import { createServedTasks } from "./server/task-set.ts";
import { createThreadCpu } from "./server/thread-cpu.ts";
import { createShutdown, type Shutdown } from "./server/shutdown.ts";
import { createRegistry } from "./metrics/registry.ts";
import { openStore } from "./store/open.ts";
import { createLog } from "./telemetry/log.ts";
import { startMetricPush } from "./telemetry/metric-push.ts";
import { createProcessMetrics } from "./telemetry/process.ts";
import { openTracing } from "./telemetry/tracing.ts";
import { readVariables } from "./telemetry/variables.ts";
import { version } from "./version.ts";

export type { Reload } from "./server/reload.ts";

/** A server that is serving. */
export type RunningServer = Shutdown & {
  readonly grpcAddress: string;
  readonly httpAddress: string;
  /** The store's file, or `memory`. */
  readonly store: string;
  readonly pools: readonly ({ readonly name: string } & Bounds)[];
  /** Names of the tasks. */
  readonly tasks: readonly string[];
  /** Files in the tasks folder that are no tasks. */
  readonly ignored: readonly { readonly path: string; readonly why: string }[];
  /** Resolves when the store has failed: the server accepts nothing more and should be stopped. */
  readonly failed: Promise<Error>;
  /** Resolves once every log line so far is written, after half a second at the latest. */
  logged(): Promise<void>;
  /** Takes a CPU profile of all threads for ten seconds; the log has its path, or the error. */
  profile(): Promise<void>;
};

/** Upper bound on the growth of JSON text as a `google.protobuf.Value`, with room for the rest of a message. */
const jsonGrowth = 16;
/** The server's clock may be this far ahead of the machine's without a line in the log. */
const reportedAheadMs = 1_000;
/** How long a change in the store may stay unnoticed if its hint is lost. */
const pollMs = 1_000;
const maxIgnoredShown = 100;
const maxResultBatchBytes = 1024 * 1024;
/**
 * The memory for results holds at least this many outputs of the largest size: with fewer, one client's share could not
 * hold one.
 */
const fewestOutputs = 4;

/**
 * Starts a server; resolves once it is serving. Rejects with a StartError that names the remedy, after closing
 * everything that was opened.
 */
export async function startServer(
  config: Config,
  env: NodeJS.ProcessEnv = process.env,
  onReload: (reload: Reload) => void = () => {},
): Promise<RunningServer> {
  const opened: RunningPart[] = [];
  try {
    return await start(config, env, onReload, opened);
  } catch (error) {
    await stopAll(opened).catch(() => undefined); // only the first error names the cause
    throw error;
  }
}

/** Adds each part that must be stopped again to `opened` as soon as it exists. */
async function start(
  config: Config,
  env: NodeJS.ProcessEnv,
  onReload: (reload: Reload) => void,
  opened: RunningPart[],
): Promise<RunningServer> {
  const log = createLog({ ...config.log, env });
  const variables = serviceLinksIn(env);
  if (variables.length > 0) log.info({ variables }, "ignored variables of Kubernetes Services, which are not settings");
  const owner = randomUUID();
  const failure = createSignal<Error>();
  const failed = new AbortController();
  const closing = new AbortController();
  void failure.promise.then((error) => failed.abort(error));

  const registry = createRegistry(clock);
  const telemetry = readVariables(env);
  const { metrics, resource } = telemetry;
  const reporter = { version, instance: owner, clock, log };
  const reports: (() => Promise<void>)[] = []; // stopped concurrently, because each takes its maximum when a collector is unreachable
  opened.push(stopOnly("telemetry", async () => void (await Promise.all(reports.map((stop) => stop())))));
  reports.push(await startMetricPush(metrics, { registry, resource, ...reporter }));
  const { jobsPerSecond } = config.tracing;
  const traces = await openTracing(telemetry, { jobsPerSecond, ...reporter });
  const { tracing } = traces;
  reports.push(traces.stop);
  const sources = {
    ...{ builtIn: [builtInTasks], folders: config.tasksDir === null ? [] : [config.tasksDir] },
    ...{ pools: Object.keys(config.pools), settings: config.tasks, resourceSettings: config.resources },
    ...{ loadMs: config.taskLoadMs, checkMs: config.taskCheckMs, clock, log },
  };
  const first = await loadTasks({ ...sources, sources: config.watch ? new Map() : null });
  const served = createServedTasks(first, log);
  opened.push(stopOnly("the checks of tasks", served.stop));
  const { tasks, checks } = served;
  for (const { path, why } of first.ignored.slice(0, maxIgnoredShown)) log.info({ path, why }, "not a task");
  const storePath = await prepareStore(config);
  const storeThreads: Worker[] = [];
  const store = await openStore(storePath, {
    onFailure(error) {
      log.error({ error: messageOf(error) }, "the store failed");
      failure.fire(error);
    },
    onThread: (thread) => void storeThreads.push(thread),
    onCommit: countCommits(registry),
    onDamage: (damage) => log.error({ damage }, "the store is damaged"),
    onUpgrade: ({ from, to, tookMs }) =>
      log.info({ store: storePath }, `store upgraded from version ${from} to ${to} in ${tookMs} ms`),
  });
  opened.push(stopOnly("the store", () => store.close()));
  const aheadMs = notBefore(await store.latest()); // before any thread takes this clock's origin
  if (aheadMs >= reportedAheadMs) {
    log.warn(
      { aheadMs },
      "the machine's clock is behind the latest time in the store: the server's clock continues from that time",
    );
  }

  const onChanged = () => readiness.update();
  const resourceHost = createResourceHost({ resources: first.resources, clock, onChanged, log });
  opened.push(stopOnly("the resources of tasks", async () => resourceHost.stop()));
  const { pools, isolated, ...poolsOf } = createPools({
    ...{ config, loaded: served.current, resourceHost, clock, log },
    isTraced: telemetry.traces !== null,
  });
  const scaling = scalingOf(config, { pools, clock, log });
  const allPools = [...pools, ...isolated];
  opened.push(...allPools.map((pool) => stopOnly(`pool ${pool.name}`, () => pool.destroy())));
  const disk = watchDisk(config, { store, clock, onChanged, log });
  const poolWatch = createPoolWatch({ pools, clock, onChanged, log });
  const alerts = createAlerts({ webhook: config.alerts.webhook, fetch, clock, log });
  const engine = createEngine({
    ...{ store, tasks, checks, pools, isolated, clock, tracing, registry, log },
    ...{ ...engineSettings(config, disk), owner, scaling },
    onDeath: alerts.died,
    onError: failure.fire,
  });
  const draining = createDraining({
    begin() {
      void reloader?.stop();
      engine.admission.close();
      engine.drain();
      for (const frontEnd of [grpc, http]) frontEnd.drain();
    },
    ended: engine.ended,
  });
  const readiness = createReadiness({
    ...{ draining: draining.signal, failed: failed.signal },
    ...{ diskRefusal: disk.refusal, brokenPools: poolWatch.broken },
    pausedPools: engine.poolControl.paused,
  });
  observeServer(registry, { disk, log, tracing, readiness, store: config.store });
  const profiler = createServerProfiler(config, { pools, storeThreads, diskRefusal: disk.refusal, clock, log });
  const adviser = createPoolAdviser({
    ...{ clock, stats: engine.stats, pools: engine.numbers.pools, cpuMs: createThreadCpu({ clock, pools }) },
    ...{ cores: config.autoscale.cores, workOf: (pool) => config.pools[pool]!.work },
    isCrowded: () => loadavg()[0]! > availableParallelism(),
  });
  const services = createService({
    ...engine,
    resources: resourceHost,
    ...{ store, tracing, tasks, readiness, profiler, adviser, logControl: log },
    ...{ described: () => served.current().described, lookups: () => served.current().lookups },
    clock: guardTimers(clock, log),
    limits: { ...config.limits, slowReaderMs: config.slowReaderMs },
    drain: draining,
    draining: draining.signal,
    closing: closing.signal,
  });
  const { grpc, http } = createFrontEnds({
    ...{ config, services, tasks, readiness, registry, clock, log },
    types: followingRegistry(() => served.current().types),
    random: Math.random,
  });

  const reloader: RunningPart | undefined =
    config.watch && config.tasksDir !== null
      ? createReloader({
          ...{ folder: config.tasksDir, sources: first.sources ?? new Map(), clock, log, onReload },
          load: (read) => loadTasks({ ...sources, sources: read }),
          replace(loaded) {
            served.replace(loaded);
            resourceHost.replace(loaded.resources);
            poolsOf.reload();
          },
        })
      : undefined;

  await engine.recover();
  scaling.warnOfMisfit();
  const upkeep = [
    createProcessMetrics(registry, clock),
    createIdleCollection({ clock }),
    disk,
    poolWatch,
    alerts,
    profiler,
    adviser,
  ];
  const started = [...upkeep, grpc, http];
  if (reloader) started.push(reloader);
  await startAll([...started, engine]); // the engine last, so that a port in use is detected before any job starts

  const shutdown = createShutdown({
    ...{ clock, draining, log, pools: allPools },
    // ends a profile early, before its threads are gone
    engine: { stop: async () => void (await Promise.all([engine.stop(), profiler.stop()])) },
    ...{ drainMs: config.drainMs, graceMs: config.graceMs },
    others: [...opened, ...started],
    failed: failure.promise,
    closeStreams() {
      closing.abort();
      engine.readers.closeAll();
      engine.watchers.closeAll();
    },
  });
  return {
    ...shutdown,
    grpcAddress: grpc.address(),
    httpAddress: http.address(),
    store: storePath,
    pools: pools.map(({ name, bounds }) => ({ name, ...bounds() })),
    tasks: [...first.tasks.keys()],
    ignored: first.ignored,
    failed: failure.promise,
    logged: log.written,
    profile: () => profileAll(profiler, log),
  };
}

const builtInTasks = fileURLToPath(new URL("./tasks/", import.meta.url));

/** A part that is running once it is created. */
function stopOnly(name: string, stop: () => Promise<void>): RunningPart {
  return { name, start: async () => {}, stop };
}

function engineSettings(config: Config, disk: DiskWatermark) {
  return {
    leaseMs: config.leaseMs,
    pollMs,
    maxChunk,
    random: Math.random,
    newId: () => newId(clock.now()),
    rates: config.rate,
    limits: {
      ...config.limits,
      resultBatchBytes: Math.min(config.limits.messageBytes / jsonGrowth, maxResultBatchBytes),
      resultBudgetBytes: Math.max(config.limits.unreadMiB * 2 ** 20, fewestOutputs * config.limits.messageBytes),
    },
    maxQueued: new Map(Object.entries(config.pools).map(([name, pool]) => [name, pool.maxQueued])),
    retention: config.retention,
    disk,
  } satisfies Partial<EngineParts>;
}
