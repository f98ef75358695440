/** N3: the disk says no. strace makes the n-th write or sync of the store's files fail, alone or with all after it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Event } from "../history/event.ts";
import type { Violation } from "../invariants/invariant.ts";
import { missing } from "../stage/features.ts";
import { StartFailure } from "../stage/server.ts";
import { openStage, type Stage } from "../stage/stage.ts";
import type { Clients } from "../stage/clients.ts";
import { type Fault, sleep } from "./fault.ts";

/** `isOnce`: only that call fails, and those after it succeed again; a server that goes on then loses what it had. */
type Try = { readonly call: string; readonly error: string; readonly n: number; readonly isOnce: boolean };
/** What one try came to; `failedAt` is undefined when the call was never made that often. */
type Tried = {
  readonly where: string;
  readonly failedAt: number | undefined;
  readonly endedAt: number;
  readonly code: number | null;
};

/** The first two are what SQLite makes most; which kind of sync it uses depends on how it was built. */
const calls = ["fsync", "pwrite64", "fdatasync", "ftruncate"] as const;
const errors = ["EIO", "ENOSPC"] as const;
const sizes = { ci: { tries: 8, highest: 60 }, gate: { tries: 2_000, highest: 500 } };
const jobsPerTry = 300;
/** Lives differ: so many times as many calls as one did not come to, no other comes to. */
const margin = 2;
const leaseMs = 30_000;
/** How long an answer may have been under way when the failure came. */
const underWayMs = 250;
const endMs = 5_000;
const patienceMs = 10_000;

export const ioError: Fault = {
  name: "io",
  row: "N3",
  says: "I/O errors of the store's files, injected by strace",
  needs: () => (missing(["strace"]).length > 0 ? "strace is not installed" : null),
  async run({ folder, root, seed, random, isGate, asked }) {
    const { tries, highest } = isGate ? sizes.gate : sizes.ci;
    const count = asked.kills ?? tries;
    const plan = Array.from(
      { length: count },
      (_, index): Try => ({
        call: calls[index % (isGate ? 4 : 2)]!,
        error: random.pick(errors),
        // the gate goes through all numbers, CI draws some
        n: isGate
          ? 1 + (Math.floor(index / calls.length) % highest)
          : random.integer(1, index % 2 === 0 ? 12 : highest),
        isOnce: random.isLucky(0.5),
      }),
    );
    const stage = await openStage({ folder, root });
    const tried: Tried[] = [];
    /** So often a call may be made in a life, for calls that were once not made as often as asked. */
    const mostCalls = new Map<string, number>();
    try {
      await stage.start();
      const load = { seed: `${seed}/io`, clients: 2, channels: 1, inFlight: 100, largeBytes: 10_000 };
      const clients = await stage.clients(load);
      await stage.stop();
      for (const [index, each] of plan.entries()) {
        // what a whole life did not come to, a later one does not either: it need not be tried
        if (each.n > (mostCalls.get(each.call) ?? Infinity)) continue;
        const one = await tryOnce(stage, clients, each, join(folder, `strace-${index}`), (index + 1) * jobsPerTry);
        if (one.failedAt === undefined) {
          mostCalls.set(each.call, Math.min(margin * each.n, mostCalls.get(each.call) ?? Infinity));
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
      return { happened: happened.length, planned: Math.ceil(count / (isGate ? calls.length : 2)), measured, verdict };
    } finally {
      await stage.dispose();
    }
  },
};

/** Starts a server whose disk will fail, lets clients work until it ends or all is done, and says how it ended. */
async function tryOnce(
  stage: Stage,
  clients: Clients,
  { call, error, n, isOnce }: Try,
  trace: string,
  jobs: number,
): Promise<Tried> {
  const store = join(stage.dataDir, "millpond.sqlite");
  const files = ["", "-wal", "-journal", ".commits"].flatMap((end) => ["-P", `${store}${end}`]);
  const inject = ["-e", `trace=${call}`, "-e", `inject=${call}:error=${error}:when=${n}${isOnce ? "" : "+"}`];
  const where = `${call} number ${n}${isOnce ? "" : " and all later ones"} with ${error}`;
  stage.fault("io", where);
  let code: number | null;
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
    code = (ended ?? (await stage.stop())).code;
  } catch (failure) {
    if (!(failure instanceof StartFailure)) throw failure;
    code = failure.ended.code;
  }
  const endedAt = Date.now();
  const injected = readFileSync(trace, "utf8")
    .split("\n")
    .find((line) => line.includes("(INJECTED)"));
  const seconds = injected && /\b(\d{9,}\.\d+)\b/.exec(injected)?.[1];
  return { where, failedAt: seconds === undefined ? undefined : Number(seconds) * 1000, endedAt, code };
}

async function allDone(clients: Clients, jobs: number): Promise<undefined> {
  await clients.reach(jobs, AbortSignal.timeout(patienceMs));
  await sleep(100);
}

/** After a failed write no OK may go out, and the process ends, soon and with an error. */
function breachesOf({ where, failedAt, endedAt, code }: Tried, events: readonly Event[]): Violation[] {
  const texts: string[] = [];
  if (code === 0) texts.push("the server ended with 0");
  if (code === null) texts.push("the server had to be killed");
  if (endedAt - failedAt! > endMs) texts.push(`the server lived ${Math.round(endedAt - failedAt!)} ms longer`);
  const late = events.filter(
    ({ kind, at }) => (kind === "accepted" || kind === "acked") && at > failedAt! + underWayMs && at < endedAt,
  );
  if (late.length > 0) texts.push(`${late.length} times it said OK after the failure`);
  return texts.map((text) => ({ invariant: "N3", text: `${where}: ${text}` }));
}
