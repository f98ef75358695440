/** One process of the server: the whole engine over the simulated disk and pools. */
import type { Clock } from "../../../src/clock.ts";
import type { Draft } from "../../../src/engine/admit/draft.ts";
import type { Engine } from "../../../src/engine/engine.ts";
import { createSignal } from "../../../src/lifecycle.ts";
import type { Log } from "../../../src/log.ts";
import { createRegistry } from "../../../src/metrics/registry.ts";
import type { LoadedTask } from "../../../src/pool/tasks.ts";
import type { Pool } from "../../../src/pool/port.ts";
import type { Store } from "../../../src/store/store.ts";
import { loaded, noChecks, roomy, untraced } from "../../support/samples.ts";
import type { Random } from "../random.ts";
import type { Bug } from "./bug.ts";
import { type Content, createDisk, type Disk } from "./disk.ts";
import type { Caller, Ledger } from "./ledger.ts";
import type { Code } from "./code.ts";
import type { JobPlan, Setting } from "./plan.ts";
import { createSimulatedPool, type SimulatedPool } from "./pool.ts";
import type { Record } from "./record.ts";
import { clockOf, type Life, newLife, type World } from "./world.ts";

export type Server = {
  readonly boot: number;
  readonly owner: string;
  readonly life: Life;
  readonly engine: Engine;
  /** The store as clients' calls reach it. */
  readonly store: Store;
  readonly disk: Disk;
  readonly pools: readonly SimulatedPool[];
  readonly clock: Clock;
  /** What its clock shows unless it was tampered with. */
  trueNow(): number;
  isServing(): boolean;
  /** Its store failed. */
  hasFailed(): boolean;
  /** Ends as it does on SIGTERM; resolves when it is over, which is never when the process dies meanwhile. */
  stop(): Promise<void>;
};

export type ServerParts = {
  readonly world: World;
  readonly code: Code;
  readonly bug: Bug | undefined;
  readonly boot: number;
  readonly content: Content;
  readonly setting: Setting;
  readonly random: Random;
  readonly record: Record;
  readonly ledger: Ledger;
  readonly planOf: (id: string) => JobPlan | undefined;
  readonly nextRun: (id: string) => number;
  readonly onServing: (server: Server) => void;
  /** Its store failed: it has to end. */
  readonly onFailed: (server: Server) => void;
  /** A job ends the process that runs it: this one, or one of its own. */
  readonly onKilled: (server: Server, id: string, isIsolated: boolean) => void;
};

export const pollMs = 1_000;
const hourMs = 3_600_000;
const bounds = { finishedJobs: 1e6, finishedMiB: 1e6, deadJobs: 1e6, deadMiB: 1e6 };
const log: Log = { debug() {}, info() {}, warn() {}, error() {}, isWritten: () => false };
/** Tasks of the simulation, one for each pool. */
const tasks: ReadonlyMap<string, LoadedTask> = new Map(["cpu", "io"].map((pool) => [pool, { ...loaded(pool), pool }]));

export const draftOf = (plan: JobPlan, now: number): Draft => ({
  ...{ id: plan.id, task: plan.pool, channel: plan.channel ?? "", input: { kind: "json", value: plan.input } },
  ...{ idempotencyKey: plan.key, priority: plan.priority, timeoutMs: plan.timeoutMs, labels: {}, memo: "" },
  start: plan.delayMs === 0 ? null : { delayMs: plan.delayMs },
  expiresAt: plan.deadlineMs === null ? null : now + plan.delayMs + plan.deadlineMs,
  retry: { maxAttempts: plan.maxAttempts, ...plan.retry },
  discardResult: plan.channel === null,
  trace: null,
});

/** Starts a process. It recovers by itself, in its own time. */
export function startServer(parts: ServerParts): Server {
  const { world, code, bug, boot, content, setting, random, record, ledger } = parts;
  const life = newLife();
  const owner = `boot-${boot}`;
  const bornMs = world.nowMs();
  const bornWallMs = world.wallMs();
  const trueNow = () => Math.floor(bornWallMs + world.nowMs() - bornMs);
  const caller: Caller = { owner, trueNow };
  const ownClock = clockOf(world, life);
  const clock = bug?.clock?.(ownClock, world) ?? ownClock;
  let isServing = false;
  let hasFailed = false;
  let made = 0;
  const failed = createSignal();

  const disk = createDisk({
    ...{ world, life, content, random: random.fork("disk"), commitMs: setting.diskMs },
    isSynced: bug?.isSynced?.(random) ?? (() => true),
    onApplied: (call, answer) => ledger.applied(call, answer, caller),
    onFailure: () => fail(),
  });
  const ported = bug?.store?.(disk.store, world) ?? disk.store;
  // some processes get no hint at all, and have to find everything by polling
  const store = random.isLucky(0.3) ? { ...ported, subscribe: () => () => {} } : ported;
  const poolsOf = (isIsolated: boolean) =>
    Object.entries(setting.workers).map(([name, workers]) =>
      createSimulatedPool({
        ...{ name, workers, isIsolated, clock, boot, caller, record, ledger, graceMs: setting.graceMs },
        ...{ random: random.fork(`${name}${isIsolated}`), planOf: parts.planOf, nextRun: parts.nextRun },
        onKilled: (id) => parts.onKilled(server, id, isIsolated),
      }),
    );
  const [shared, isolated] = [poolsOf(false), poolsOf(true)];
  const simulated = [...shared, ...isolated];
  const pools: readonly Pool[] = shared.map((pool) => bug?.pool?.(pool) ?? pool);
  const engine: Engine = code.createEngine({
    ...{ store, tasks: () => tasks, pools, isolated, clock, tracing: untraced, owner, log, checks: noChecks },
    registry: createRegistry(clock),
    ...{ leaseMs: setting.leaseMs, pollMs, maxChunk: setting.maxChunk, scaling: roomy },
    random: random.fork("backoff").next,
    newId: () =>
      `00000000-0000-7000-9000-${boot.toString(16).padStart(6, "0")}${(made += 1).toString(16).padStart(6, "0")}`,
    rates: { ...(setting.rate ?? { perSecond: 0, burst: 1 }), clients: {} },
    limits: {
      jobsPerSubmit: 1_000,
      inputBytes: 1_000,
      resultStreams: 100,
      resultBatchBytes: 1_000_000,
      resultBudgetBytes: 32_000_000,
      watches: 1,
    },
    maxQueued: new Map([
      ["cpu", setting.maxQueued],
      ["io", setting.maxQueued],
    ]),
    retention: {
      acknowledgedMs: setting.acknowledgedMs,
      unacknowledgedMs: hourMs * 1e4,
      deadMs: hourMs * 1e4,
      ...bounds,
    },
    disk: { refusal: () => undefined },
    onDeath() {},
    onError: () => fail(),
    log,
  });

  /** From the first failure on it serves nobody, and ends. */
  function fail(): void {
    if (life.isDead || hasFailed) return;
    isServing = false;
    hasFailed = true;
    failed.fire();
    parts.onFailed(server);
  }

  const draining = code.createDraining({
    begin() {
      isServing = false;
      engine.admission.close();
      engine.drain();
    },
    ended: engine.ended,
  });
  const shutdown = code.createShutdown({
    ...{
      clock,
      draining,
      pools: [...pools, ...isolated],
      engine,
      log,
      drainMs: setting.drainMs,
      graceMs: setting.graceMs,
    },
    closeStreams: () => engine.readers.closeAll(),
    others: [],
    failed: failed.promise,
  });

  async function start(): Promise<void> {
    await engine.recover();
    await engine.start();
    isServing = true;
    parts.onServing(server);
  }

  const server: Server = {
    ...{ boot, owner, life, engine, store, disk, pools: simulated, clock, trueNow },
    isServing: () => isServing && !life.isDead,
    hasFailed: () => hasFailed,
    stop: () => shutdown.stop(),
  };
  start().catch(fail);
  return server;
}
