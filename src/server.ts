/** Puts the parts together, starts them in order, and stops them so that nothing accepted is lost. */
import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock as clock } from "./clock.ts";
import type { Config } from "./config.ts";
import { createEngine, type Engine } from "./engine/engine.ts";
import { messageOf, StartError } from "./errors.ts";
import { createSignal, startAll, stopAll, type Service as RunningPart } from "./lifecycle.ts";
import type { Log } from "./log.ts";
import { newId } from "./job/id.ts";
import { maxChunk } from "./pool/chunk.ts";
import { createPool, type Pool } from "./pool/pool.ts";
import { loadTasks, type Tasks } from "./pool/tasks.ts";
import { createConnectFrontEnd } from "./rpc/connect.ts";
import type { FrontEnd } from "./rpc/front-end.ts";
import { createGrpcFrontEnd } from "./rpc/grpc.ts";
import { createService } from "./rpc/service.ts";
import { openStore } from "./store/open.ts";
import type { Store } from "./store/store.ts";
import { createTracing, untraced } from "./telemetry/instruments.ts";
import { createLog } from "./telemetry/log.ts";
import { startTelemetry } from "./telemetry/sdk.ts";

/** A server that is serving. */
export type RunningServer = {
  readonly grpcAddress: string;
  readonly httpAddress: string;
  /** The store's file, or `memory`. */
  readonly store: string;
  readonly pools: readonly { readonly name: string; readonly minWorkers: number; readonly maxWorkers: number }[];
  /** Names of the tasks. */
  readonly tasks: readonly string[];
  /**
   * Refuses new jobs, waits for those that run (at most `drainMs`, then they are told to stop, and after `graceMs`
   * ended and handed back), sends the results there are, and lets go of everything. Safe to repeat.
   */
  stop(): Promise<void>;
  /** Resolves when the store has failed: the server accepts nothing more and should be ended. */
  readonly failed: Promise<Error>;
};

/** Threads above a pool's minimum end after this long without work. */
const idleMs = 30_000;
/** How much larger than its text JSON may be as a `google.protobuf.Value`, at most, with room for the rest of a message. */
const jsonGrowth = 16;
const maxResultBatchBytes = 1024 * 1024;
/** What a message needs besides its largest part. */
const messageSlackBytes = 64 * 1024;
/** How long connections may take to close once nothing more is to be sent. */
const closeMs = 2_000;

/** Starts a server; resolves once it is serving. Rejects with a StartError that says what to do. */
export async function startServer(config: Config, env: NodeJS.ProcessEnv = process.env): Promise<RunningServer> {
  const log = createLog(config.log.level);
  const failure = createSignal<Error>();
  const draining = new AbortController();
  const closing = new AbortController();
  const stopTelemetry = await startTelemetry(env);
  const tracing = stopTelemetry ? createTracing() : untraced;
  const tasks = await loadTasks({
    folders: [builtInTasks, ...(config.tasksDir === null ? [] : [config.tasksDir])],
    pools: Object.keys(config.pools),
    settings: config.tasks,
  });
  const storePath = await prepareStore(config);
  const store = await openStore(storePath, {
    onFailure(error) {
      log.error({ error: messageOf(error) }, "the store failed");
      failure.fire(error);
    },
  });

  const pools = createPools(config, tasks, log);
  const engine = createEngine({
    store,
    tasks,
    pools,
    clock,
    tracing,
    owner: randomUUID(),
    maxChunk,
    random: Math.random,
    newId: () => newId(clock.now()),
    rates: config.rate,
    limits: {
      ...config.limits,
      resultBatchBytes: Math.min(config.limits.messageBytes / jsonGrowth, maxResultBatchBytes),
    },
    maxQueued: new Map(Object.entries(config.pools).map(([name, pool]) => [name, pool.maxQueued])),
    retention: config.retention,
    onError: failure.fire,
    log,
  });
  const { admission, readers, backlog, stats, rateLimit } = engine;
  const service = createService({
    ...{ admission, readers, backlog, stats, rateLimit, store, tracing, clock, tasks },
    pools: engine.pools,
    limits: { ...config.limits, slowReaderMs: config.slowReaderMs },
    draining: draining.signal,
    closing: closing.signal,
  });
  const frontEnds = createFrontEnds(config, service, tasks, () => !draining.signal.aborted && !hasFailed, log);
  let hasFailed = false;
  void failure.promise.then(() => {
    hasFailed = true;
  });

  try {
    await engine.recover();
    await startAll([frontEnds.grpc, frontEnds.http, engine]); // a port in use is found before any job is started
  } catch (error) {
    await letGo(pools, store, stopTelemetry);
    throw error;
  }

  const stop = async () => {
    log.info({}, "draining: no more jobs are taken");
    draining.abort();
    admission.close();
    await drain(engine, pools, config);
    closing.abort();
    readers.closeAll();
    await stopAll([
      { name: "the rest", start: async () => {}, stop: () => letGo(pools, store, stopTelemetry) },
      frontEnds.grpc,
      frontEnds.http,
    ]);
    log.info({}, "stopped");
  };
  let stopping: Promise<void> | undefined;
  return {
    grpcAddress: frontEnds.grpc.address(),
    httpAddress: frontEnds.http.address(),
    store: storePath,
    pools: pools.map(({ name, minWorkers, maxWorkers }) => ({ name, minWorkers, maxWorkers })),
    tasks: [...tasks.keys()],
    stop: () => (stopping ??= stop()),
    failed: failure.promise,
  };
}

const builtInTasks = fileURLToPath(new URL("./tasks/", import.meta.url));

async function prepareStore({ store, dataDir }: Config): Promise<string> {
  if (store === "memory") return "memory";
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new StartError(
      `the data folder ${dataDir} cannot be made: ${messageOf(error)}: choose another with --data-dir`,
    );
  }
  return join(dataDir, "millpond.sqlite");
}

function createPools(config: Config, tasks: Tasks, log: Log): Pool[] {
  return Object.entries(config.pools).map(([name, { work, minWorkers, maxWorkers }]) =>
    createPool({
      ...{ name, work, minWorkers, maxWorkers, idleMs, log },
      tasks: [...tasks.values()].filter((task) => task.pool === name),
      maxOutputBytes: config.limits.messageBytes - messageSlackBytes,
      now: clock.now,
    }),
  );
}

function createFrontEnds(
  config: Config,
  service: ReturnType<typeof createService>,
  tasks: Tasks,
  isServing: () => boolean,
  log: Log,
): { readonly grpc: FrontEnd; readonly http: FrontEnd } {
  const limits = { ...config.limits, closeMs };
  const types = [...tasks.values()].flatMap(({ definition: { input, output } }) => [input, output]);
  const http = createConnectFrontEnd(service, {
    ...config.http,
    ...{ limits, isServing, clock, log },
    types: types.filter((type) => type !== undefined),
  });
  const grpc = createGrpcFrontEnd(service, { ...config.grpc, limits, clock, log, webAddress: http.address });
  return { grpc, http };
}

/** Lets running jobs end; when they take too long, tells them to stop, and then ends their threads. */
async function drain(engine: Engine, pools: readonly Pool[], { drainMs, graceMs }: Config): Promise<void> {
  const cancelGrace: (() => void)[] = [];
  const cancel = clock.after(drainMs, () => {
    for (const pool of pools) pool.cancelAll();
    cancelGrace.push(clock.after(graceMs, () => void Promise.all(pools.map((pool) => pool.destroy()))));
  });
  await engine.stop();
  cancel();
  for (const each of cancelGrace) each();
}

async function letGo(pools: readonly Pool[], store: Store, stopTelemetry: (() => Promise<void>) | null): Promise<void> {
  const parts: RunningPart[] = [
    { name: "telemetry", start: async () => {}, stop: async () => stopTelemetry?.() },
    { name: "the store", start: async () => {}, stop: () => store.close() },
    ...pools.map((pool) => ({ name: `pool ${pool.name}`, start: async () => {}, stop: () => pool.destroy() })),
  ];
  await stopAll(parts);
}
