/** Runs one simulation from its plan to its end, and judges it. */
import { suspectAfterCrashes } from "../../../src/job/job.ts";
import { check } from "../checker.ts";
import type { Event } from "../history/event.ts";
import type { Violation } from "../invariants/invariant.ts";
import { createRandom } from "../random.ts";
import type { Bug } from "./bug.ts";
import { createClients } from "./clients.ts";
import { type Code, ownCode } from "./code.ts";
import { type Content, cutPower } from "./disk.ts";
import { judgeEnd } from "./end.ts";
import { createLedger } from "./ledger.ts";
import { clients as names, type JobPlan, type Plan, type Step } from "./plan.ts";
import { createRecord } from "./record.ts";
import { pollMs, type Server, startServer } from "./server.ts";
import { createWorld } from "./world.ts";

/** What is tested in place of the code of this tree. */
export type Under = { readonly code?: Code; readonly bug?: Bug };

export type Run = {
  readonly violations: readonly Violation[];
  /** What was looked at and what happened, by name. */
  readonly counts: ReadonlyMap<string, number>;
  /** Delays with full jitter, as shares of their bound. */
  readonly draws: readonly number[];
  readonly events: readonly Event[];
  /** How long it took in simulated time. */
  readonly simulatedMs: number;
};

const restMs = 60_000;
const sliceMs = 100;
/** By then every request has reached its process. */
const arriveMs = 2;
/** How long a process may live on after its store failed. */
const failedMs = 1_000;

/** Invariants of the checker that the ledger judges itself, for it knows more. */
const except = { I7: "the ledger counts attempts, those too that share the end of a neighbour's thread" };
/** What a process that was replaced while it was frozen may still do is begin what it holds: nobody can tell it. */
const exceptShared = {
  ...{ ...except, I6: "the ledger judges", I8: "the ledger judges", I13: "the ledger judges" },
  I9: "an acknowledgement that the sleeper had in hand may pass a stream of the other",
};

export async function simulate({ seed, setting, steps }: Plan, { code = ownCode, bug }: Under = {}): Promise<Run> {
  const world = createWorld();
  const random = createRandom(`run of ${seed}`);
  const record = createRecord(world);
  const content: Content = { store: code.createMemoryStore(), journal: [], synced: 0 };
  const jobs = new Map<string, JobPlan>();
  for (const step of steps) if (step.kind === "submit") for (const job of step.jobs) jobs.set(job.id, job);
  const runs = new Map<string, number>();
  /** How many servers each job has ended, by its id and its life. */
  const killsOf = new Map<string, number>();
  /** Jobs that ended a process of their own. */
  const convictable = new Set<string>();
  /** Every process there ever was. */
  const all = new Map<string, Server>();
  /** The one that clients speak to. */
  let current: Server | undefined;
  let isShared = false;
  let isStopping = false;
  const ledger = createLedger({
    ...{ world, record, isShared: () => isShared },
    isAlive: (owner) => all.get(owner) === current && current?.life.isDead === false,
  });
  const prunes = setting.acknowledgedMs < restMs;
  const clients = createClients({ world, record, random: random.fork("clients"), prunes, onSent: ledger.sent });

  function start(): void {
    const boot = all.size + 1;
    isStopping = false;
    for (const owner of all.keys()) void content.store.recover({ owner }); // who has the file has it alone
    current = startServer({
      ...{ world, code, bug, boot, content, setting, record, ledger },
      random: random.fork(`boot ${boot}`),
      planOf: (id) => jobs.get(id),
      nextRun(id) {
        const run = runs.get(id) ?? 0;
        runs.set(id, run + 1);
        return run;
      },
      onServing(server) {
        record.write({ kind: "serving", boot, pid: boot, tookMs: 0 });
        if (server === current) clients.connect(server);
      },
      onKilled(server, id, isIsolated) {
        record.count(isIsolated ? "own processes killed" : "servers killed by a job");
        if (isIsolated) return void convictable.add(id);
        const life = `${id} ${ledger.entries.get(id)?.redrives}`;
        const kills = (killsOf.get(life) ?? 0) + 1;
        killsOf.set(life, kills);
        const isBounded = isShared || kills <= suspectAfterCrashes;
        record.check("I22", isBounded, () => `ended ${kills} servers, and was not a suspect`, id);
        end(server, "SIGKILL");
        world.after(random.next() * failedMs, () => restart(server));
      },
      onFailed(server) {
        record.count("store failures");
        world.after(random.next() * failedMs, () => server.life.isDead || end(server, "70"));
        if (server === current) world.after(failedMs, () => restart(server));
      },
    });
    all.set(current.owner, current);
  }

  /** A process is no more, whatever it was doing. */
  function end(server: Server, how: string): void {
    if (server.life.isDead) return;
    server.life.isDead = true;
    if (how !== "stopped") server.disk.die();
    for (const pool of server.pools) pool.die();
    record.write({ kind: "ended", boot: server.boot, pid: server.boot, how });
  }

  function restart(after: Server): void {
    end(after, "SIGKILL");
    if (current === after) start();
  }

  async function stop(server: Server, downMs: number): Promise<void> {
    isStopping = true;
    await server.stop();
    if (server.life.isDead) return;
    if (!server.hasFailed()) await judgeStop(server);
    end(server, server.hasFailed() ? "70" : "stopped");
    world.after(downMs, () => restart(server));
  }

  /** A process that was asked to stop, and did, leaves nothing that runs and nothing of its own in the store. */
  async function judgeStop({ owner, pools, disk }: Server): Promise<void> {
    const busy = pools.reduce((sum, pool) => sum + pool.busy(), 0);
    record.check("I18", busy === 0, () => `${owner} stopped while ${busy} jobs ran`);
    const unwritten = disk.waiting("settle");
    record.check("I18", unwritten === 0, () => `${owner} stopped while outcomes were being written`);
    const left = (await content.store.expired({ now: Infinity, limit: 1_000 })).filter(
      (lease) => lease.owner === owner,
    );
    record.check("I18", left.length === 0, () => `${owner} stopped and left ${left.length} jobs RUNNING`, left[0]?.id);
  }

  /** The next process takes over from one that only slept, which wakes up later and goes on. */
  function takeOver(old: Server, frozenMs: number, sharedMs: number): void {
    isShared = true;
    old.life.isFrozen = true;
    const upset = { kind: "fault", name: "takeover", text: old.owner, hurtsWorkers: true } as const;
    record.write(upset);
    // its leases have ended by then, for it renews none of them
    world.after(setting.leaseMs + frozenMs, () => {
      start();
      world.after(random.next() * sharedMs, () => world.thaw(old.life));
      world.after(sharedMs, () => end(old, "SIGKILL"));
    });
  }

  async function take(step: Step): Promise<void> {
    if (step.kind === "submit") return clients.submit(step.jobs);
    if (step.kind === "again" || step.kind === "cancel" || step.kind === "redrive" || step.kind === "remove") {
      return clients[step.kind](step.job);
    }
    if (step.kind === "reopen" || step.kind === "cancelAll" || step.kind === "redriveAll") {
      return clients[step.kind](step.client);
    }
    if (step.kind === "jump") return world.jump(step.ms);
    const server = current!;
    const { life, disk } = server;
    if (life.isDead || life.isFrozen) return undefined;
    switch (step.kind) {
      case "power":
        for (const each of all.values()) end(each, "SIGKILL");
        await cutPower(content, code.createMemoryStore);
        world.after(step.downMs, () => restart(server));
        break;
      case "crash":
        end(server, "SIGKILL");
        world.after(step.downMs, () => restart(server));
        break;
      case "stop":
        if (!isStopping && server.isServing()) void stop(server, step.downMs);
        break;
      case "io":
        disk.fail();
        break;
      case "stall":
        disk.stall(step.ms);
        break;
      case "freeze":
        life.isFrozen = true;
        world.after(step.ms, () => world.thaw(life));
        break;
      case "takeover":
        if (server.isServing() && !isStopping) takeOver(server, step.frozenMs, step.sharedMs);
        break;
      case "murder":
        if (!server.pools.find(({ name }) => name === step.pool)?.murder()) return undefined;
        break;
      default:
    }
    record.count(`step ${step.kind}`);
  }

  const isAtRest = () =>
    current?.isServing() === true &&
    !current.life.isFrozen &&
    [...all.values()].every((server) => server === current || server.life.isDead) &&
    clients.isIdle() &&
    current.disk.waiting() === 0 &&
    [...ledger.entries.values()].every(({ state }) => state !== "QUEUED" && state !== "RUNNING");

  start();
  for (const step of steps) {
    await world.advance(step.afterMs);
    await take(step);
    await world.advance(0);
  }
  for (const { disk } of all.values()) disk.heal();
  await world.advance(arriveMs);
  const steppedMs = world.nowMs();
  while (world.nowMs() < steppedMs + restMs && !isAtRest()) await world.advance(sliceMs);
  // the process that is gone may have had the streams of clients
  if (isShared) for (const client of names) clients.reopen(client);
  // whoever got no hint finds by polling what is left to find
  await world.advance(pollMs + 50 * setting.diskMs + sliceMs);
  await judgeEnd({ convictable, record, ledger, clients, content, setting, server: current!, isShared });
  const excepted = isShared ? exceptShared : except;
  const verdict = check(record.events, { leaseMs: setting.leaseMs, atLeast: {}, except: excepted });
  for (const [name, looked] of Object.entries(verdict.checked)) {
    record.counts.set(name, (record.counts.get(name) ?? 0) + looked);
  }
  const violations = [...record.breaches, ...verdict.violations];
  const { counts, draws, events } = record;
  return { violations, counts, draws, events, simulatedMs: world.nowMs() };
}
