/** N3: the disk says no. strace makes the n-th write or sync of the store's files fail, alone or with all after it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Event } from "../history/event.ts";
import { now } from "../history/log.ts";
import type { Violation } from "../invariants/invariant.ts";
import type { Random } from "../random.ts";
import { missing } from "../stage/features.ts";
import { type Ended, StartFailure } from "../stage/server.ts";
import { openStage, type Stage } from "../stage/stage.ts";
import type { Clients } from "../stage/clients.ts";
import { type Fault, sleep } from "./fault.ts";

/** Which calls are counted: those for all files of the store, or those for its main file, which checkpoints make. */
type Aim = { readonly call: string; readonly files: readonly string[]; readonly highest: { ci: number; gate: number } };
/** `isOnce`: only that call fails, and those after it succeed again; a server that goes on then loses what it had. */
type Try = { readonly aim: Aim; readonly error: string; readonly n: number; readonly isOnce: boolean };
/** What one try came to; `failedAt` is undefined when the call was never made that often. */
type Tried = {
  readonly where: string;
  readonly failedAt: number | undefined;
  readonly endedAt: number;
  readonly how: Ended;
  /** Whether it was sent SIGTERM, because it still ran when its jobs were done. */
  readonly isStopped: boolean;
};

const all = ["", "-wal", "-journal", ".commits"];
/** The first four are what SQLite makes most; which kind of sync it uses depends on how it was built. */
const aims: readonly Aim[] = [
  { call: "fsync", files: all, highest: { ci: 12, gate: 500 } },
  { call: "pwrite64", files: all, highest: { ci: 60, gate: 500 } },
  { call: "pwrite64", files: [""], highest: { ci: 3, gate: 50 } },
  { call: "fsync", files: [""], highest: { ci: 1, gate: 50 } },
  { call: "fdatasync", files: all, highest: { ci: 12, gate: 500 } },
  { call: "ftruncate", files: all, highest: { ci: 12, gate: 500 } },
];
const errors = ["EIO", "ENOSPC"] as const;
const sizes = { ci: 8, gate: aims.reduce((sum, { highest }) => sum + highest.gate, 0) };
const jobsPerTry = 300;
/** Lives differ: so many times as many calls as one did not come to, no other comes to. */
const margin = 2;
const leaseMs = 30_000;
/** How long an answer may have been under way when the failure came. */
const underWayMs = 250;
/** From the failure to the end of the process, strace included: 4.5 s at most were seen on two quiet cores. */
const endMs = 5_000;
/** For the jobs of one life; a machine with other work may need it. */
const patienceMs = 120_000;

export const ioError: Fault = {
  name: "io",
  row: "N3",
  says: "I/O errors of the store's files, injected by strace",
  needs: () => (missing(["strace"]).length > 0 ? "strace is not installed" : null),
  async run({ folder, root, seed, random, isGate, asked }) {
    const count = asked.kills ?? (isGate ? sizes.gate : sizes.ci);
    // the gate goes through all numbers, CI draws some
    const numbered = isGate ? everyNumber() : drawn(count, random);
    const plan = numbered
      .slice(0, count)
      .map((one): Try => ({ ...one, error: random.pick(errors), isOnce: random.isLucky(0.5) }));
    const stage = await openStage({ folder, root });
    const tried: Tried[] = [];
    /** So often a call may be made in a life, for calls that were once not made as often as asked. */
    const mostCalls = new Map<Aim, number>();
    try {
      await stage.start();
      const load = { seed: `${seed}/io`, clients: 2, channels: 1, inFlight: 100, largeBytes: 10_000 };
      const clients = await stage.clients(load);
      await stage.stop();
      for (const [index, each] of plan.entries()) {
        // what a whole life did not come to, a later one does not either: it need not be tried
        if (each.n > (mostCalls.get(each.aim) ?? Infinity)) continue;
        const one = await tryOnce(stage, clients, each, join(folder, `strace-${index}`), (index + 1) * jobsPerTry);
        if (one.failedAt === undefined) {
          mostCalls.set(each.aim, Math.min(margin * each.n, mostCalls.get(each.aim) ?? Infinity));
        }
        tried.push(one);
      }
      await stage.start();
      clients.allow(count * jobsPerTry);
      const left = await clients.finish();
      await stage.stop();
      const happened = tried.filter(({ failedAt }) => failedAt !== undefined);
      const atLeast = { I1: 1, I2: 1, I5: 1, I6: 1, I7: 1, I9: 1, I10: 1, I18: 1, I19: 1 };
      const verdict = stage.judge({ leaseMs, atLeast }, (events) =>
        happened.flatMap((each) => breachesOf(each, events)),
      );
      const measured = {
        ...{ left, notReached: count - happened.length },
        slowestEndMs: Math.round(Math.max(0, ...happened.map(({ failedAt, endedAt }) => endedAt - failedAt!))),
      };
      return { happened: happened.length, planned: Math.ceil(count / (isGate ? 4 : 2)), measured, verdict };
    } finally {
      await stage.dispose();
    }
  },
};

type Numbered = Pick<Try, "aim" | "n">;

/** The first number of every aim, then the second, and so on: so it is soon known which calls are never made. */
function everyNumber(): Numbered[] {
  const highest = Math.max(...aims.map((aim) => aim.highest.gate));
  const numbers = Array.from({ length: highest }, (_, index) => index + 1);
  return numbers.flatMap((n) => aims.filter((aim) => n <= aim.highest.gate).map((aim) => ({ aim, n })));
}

/** Of what SQLite makes most, in turn. */
function drawn(count: number, random: Random): Numbered[] {
  return Array.from({ length: count }, (_, index) => {
    const aim = aims[index % 4]!;
    return { aim, n: random.integer(1, aim.highest.ci) };
  });
}

/** Starts a server whose disk will fail, lets clients work until it ends or all is done, and says how it ended. */
async function tryOnce(
  stage: Stage,
  clients: Clients,
  { aim: { call, files: ends }, error, n, isOnce }: Try,
  trace: string,
  jobs: number,
): Promise<Tried> {
  const store = join(stage.dataDir, "millpond.sqlite");
  const files = ends.flatMap((end) => ["-P", `${store}${end}`]);
  const inject = ["-e", `trace=${call}`, "-e", `inject=${call}:error=${error}:when=${n}${isOnce ? "" : "+"}`];
  const of = ends === all ? "" : " of the main file";
  const where = `${call} number ${n}${of}${isOnce ? "" : " and all later ones"} with ${error}`;
  stage.fault("io", where);
  let how: Ended;
  let isStopped = false;
  try {
    const server = await stage.start([
      "strace",
      "-f",
      "--seccomp-bpf",
      "-qq",
      "-ttt",
      "-o",
      trace,
      ...files,
      ...inject,
    ]);
    clients.allow(jobs);
    const ended = await Promise.race([server.ended, allDone(clients, jobs)]);
    isStopped = ended === undefined;
    how = ended ?? (await stage.stop());
  } catch (failure) {
    if (!(failure instanceof StartFailure)) throw failure;
    how = failure.ended;
  }
  const endedAt = now();
  const aheadMs = endedAt - Date.now(); // strace goes by the wall clock, which the machine may set right
  const injected = readFileSync(trace, "utf8")
    .split("\n")
    .find((line) => line.includes("(INJECTED)"));
  const seconds = injected && /\b(\d{9,}\.\d+)\b/.exec(injected)?.[1];
  const failedAt = seconds === undefined ? undefined : Number(seconds) * 1000 + aheadMs;
  return { where, failedAt, endedAt, how, isStopped };
}

async function allDone(clients: Clients, jobs: number): Promise<undefined> {
  await clients.reach(jobs, AbortSignal.timeout(patienceMs));
  await sleep(100);
}

/** After a failed write no OK may go out, and the process ends, soon and with an error. */
function breachesOf({ where, failedAt, endedAt, how, isStopped }: Tried, events: readonly Event[]): Violation[] {
  const texts: string[] = [];
  if (how.code === 0) texts.push("the server ended with 0");
  const isAsked = isStopped && how.signal === "SIGTERM"; // the stop came while it ended for the failure
  if (how.code === null && !isAsked) texts.push(`the server was ended by ${how.signal}`);
  if (endedAt - failedAt! > endMs) texts.push(`the server lived ${Math.round(endedAt - failedAt!)} ms longer`);
  const late = events.filter(
    ({ kind, at }) => (kind === "accepted" || kind === "acked") && at > failedAt! + underWayMs && at < endedAt,
  );
  if (late.length > 0) texts.push(`${late.length} times it said OK after the failure`);
  return texts.map((text) => ({ invariant: "N3", text: `${where}: ${text}` }));
}
