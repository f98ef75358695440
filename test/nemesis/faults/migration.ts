/** N12: the upgrade of a store is killed half-way, at the n-th write that it makes. */
import { cpSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { check, withBreach } from "../checker.ts";
import { readEvents } from "../history/log.ts";
import type { Violation } from "../invariants/invariant.ts";
import { missing, storeVersions } from "../stage/features.ts";
import { inspectStore } from "../stage/inspect.ts";
import { makeOldStore } from "../stage/old-store.ts";
import { readOut, runsOf } from "../stage/read-out.ts";
import { startServer } from "../stage/server.ts";
import { tasksDir } from "../stage/stage.ts";
import { type Fault, sleep } from "./fault.ts";

const sizes = { ci: { kills: 3, jobs: 2_000 }, gate: { kills: 50, jobs: 20_000 } };
const leaseMs = 30_000;
const channel = { client: "client-0", channel: "channel-0" };
/** An upgrade of this size makes about so many writes. */
const highestWrite = 400;
/** A server that survived the number is killed all the same. */
const patienceMs = 3_000;

export const migration: Fault = {
  name: "migration",
  row: "N12",
  says: "the upgrade of a store is killed half-way",
  needs: (root) => {
    if (storeVersions(root) < 2) return "this server has one version of the store only";
    return missing(["strace"]).length > 0 ? "strace is not installed" : null;
  },
  async run({ folder, root, random, isGate, asked }) {
    const size = isGate ? sizes.gate : sizes.ci;
    const [count, jobs] = [asked.kills ?? size.kills, asked.jobs ?? size.jobs];
    const made = join(folder, "made");
    const events = makeOldStore(root, made, jobs, channel, random.fork("store"));
    const breaches: Violation[] = [];
    const say = (text: string) => void breaches.push({ invariant: "N12", text });
    let happened = 0;
    let halfWay = 0;
    for (let index = 0; index < count; index++) {
      const n = random.integer(1, highestWrite);
      const copy = join(folder, `copy-${index}`);
      const dataDir = join(copy, "data");
      mkdirSync(copy);
      cpSync(made, dataDir, { recursive: true });
      if (await killedAt(n, { root, dataDir, runsPath: runsOf(copy) })) happened += 1;
      if (versionOf(dataDir) === 1) halfWay += 1;
      const out = await readOut({ root, dataDir, runsPath: runsOf(copy), channels: [channel] });
      if (out.kind !== "served") {
        say(`killed at write ${n}, the next start ${out.kind}: ${out.said.slice(0, 300)}`);
        continue;
      }
      const runs = existsSync(runsOf(copy)) ? readEvents([runsOf(copy)]) : [];
      const all = [...events, ...runs, ...out.events, inspectStore(join(dataDir, "millpond.sqlite"))];
      const atLeast = { I1: jobs, I5: jobs / 2, I6: jobs / 2, I9: jobs, I10: jobs, I19: 1 };
      const judged = check(all, { leaseMs, atLeast });
      for (const { invariant, text, job } of judged.violations.slice(0, 3)) {
        breaches.push({ invariant, text: `killed at write ${n}: ${text}`, ...(job !== undefined && { job }) });
      }
      rmSync(copy, { recursive: true, force: true });
    }
    const before = { I1: "the jobs that wait run in each copy", I10: "the same" };
    const verdict = breaches.reduce(withBreach, check(events, { leaseMs, atLeast: { I5: jobs / 2 }, except: before }));
    return { happened, planned: count, measured: { stillVersion1: halfWay }, verdict };
  },
};

type Place = { readonly root: string; readonly dataDir: string; readonly runsPath: string };

/** Starts a server that dies at its n-th write to the store; true when it did. */
async function killedAt(n: number, { root, dataDir, runsPath }: Place): Promise<boolean> {
  const store = join(dataDir, "millpond.sqlite");
  const files = ["", "-wal", "-journal", ".commits"].flatMap((end) => ["-P", `${store}${end}`]);
  // with --seccomp-bpf strace would send no signal
  const inject = ["-e", "trace=pwrite64", "-e", `inject=pwrite64:signal=SIGKILL:when=${n}`];
  const before = ["strace", "-f", "-qq", "-o", join(dataDir, "..", "trace"), ...files, ...inject];
  const flags = ["--data-dir", dataDir, "--tasks-dir", tasksDir, "--log-level", "silent"];
  try {
    const server = await startServer({ root, flags, env: { NEMESIS_RUNS: runsPath }, before });
    const ended = await Promise.race([server.ended, sleep(patienceMs)]);
    if (ended !== undefined) return true;
    server.kill("SIGKILL");
    await server.ended;
    return false;
  } catch {
    return true; // it never served
  }
}

function versionOf(dataDir: string): number {
  const db = new DatabaseSync(join(dataDir, "millpond.sqlite"));
  try {
    return Number(Object.values(db.prepare("PRAGMA user_version").get()!)[0]);
  } finally {
    db.close();
  }
}
