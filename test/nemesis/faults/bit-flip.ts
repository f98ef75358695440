/** N11: bits of the store's files turn over, or their ends are missing, while no server runs. */
import { cpSync, existsSync, mkdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { check, withBreach } from "../checker.ts";
import type { Event } from "../history/event.ts";
import { readEvents } from "../history/log.ts";
import type { Violation } from "../invariants/invariant.ts";
import type { Random } from "../random.ts";
import { type Channel, readOut, runsOf } from "../stage/read-out.ts";
import { openStage } from "../stage/stage.ts";
import { type Fault, sleep } from "./fault.ts";

const sizes = { ci: 8, gate: 1_000 };
const [jobs, lateJobs] = [1_200, 400];
const leaseMs = 30_000;
/** The store must hold all of the load: a machine with other work takes its time for it. */
const patienceMs = 600_000;
/** Stores that are read at the same time: a start leaves a core idle now and then. */
const atOnce = 2;
const channels: readonly Channel[] = [0, 1].map((index) => ({ client: `client-${index}`, channel: "channel-0" }));

export const bitFlip: Fault = {
  name: "bits",
  row: "N11",
  says: "bits turned over and ends cut off in the store's files while no server runs",
  needs: () => null,
  async run({ folder, root, seed, random, isGate, asked }) {
    const count = asked.kills ?? (isGate ? sizes.gate : sizes.ci);
    const { dataDir, events } = await makeStore(join(folder, "made"), root, seed);
    const outcomes = { refused: 0, ended: 0, reported: 0, unharmed: 0 };
    const breaches: Violation[] = [];
    async function damageAndRead(index: number): Promise<void> {
      const copy = join(folder, `copy-${index}`);
      mkdirSync(copy);
      cpSync(dataDir, join(copy, "data"), { recursive: true });
      const done = damage(join(copy, "data"), random.fork(`flip ${index}`));
      const out = await readOut({ root, dataDir: join(copy, "data"), runsPath: runsOf(copy), channels });
      const say = (text: string, job?: string) =>
        void breaches.push({ invariant: "N11", text: `${done}, and ${text}`, ...(job !== undefined && { job }) });
      if (out.kind === "served") {
        const runs = existsSync(runsOf(copy)) ? readEvents([runsOf(copy)]) : [];
        const { violations } = check([...events, ...runs, ...out.events], { leaseMs, atLeast: { I1: jobs }, except });
        // a job that was named may be lost, but never wrong
        const wrong = violations.find(({ invariant }) => /^I[25]$/.test(invariant));
        const untold = violations.find(({ job }) => job === undefined || !out.said.includes(job));
        if (wrong) say(`a wrong result was delivered: ${wrong.text}`, wrong.job);
        else if (untold) {
          const about = events.find((each) => each.kind === "submit" && each.job.id === untold.job);
          say(`nobody was told: ${untold.invariant} ${untold.text}; ${JSON.stringify(about ?? null)}`, untold.job);
        } else outcomes[out.said === "" ? "unharmed" : "reported"] += 1;
      } else {
        outcomes[out.kind] += 1;
        if (!/store|damaged|millpond\.sqlite/i.test(out.said)) say(`it only said "${out.said.slice(0, 300)}"`);
      }
      rmSync(copy, { recursive: true, force: true });
    }
    let next = 0;
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        while (next < count) await damageAndRead(next++);
      }),
    );
    const made = check(events, { leaseMs, atLeast: { I5: 1 }, except: exceptBefore });
    const verdict = breaches.reduce(withBreach, { ...made, checked: { ...made.checked, N11: count } });
    return { happened: count, planned: count, measured: outcomes, verdict };
  },
};

/** What a read-out cannot see. */
const noEnd = "nobody waits for the end of these stores";
const except = { I18: noEnd, I19: noEnd, I20: noEnd };
/** The store is made by a run that is killed in the middle. */
const exceptBefore = { ...except, I1: noEnd, I10: noEnd };

/** A store whose main file has results that nobody acknowledged, and whose log has later ones and jobs that are not final. */
async function makeStore(folder: string, root: string, seed: number): Promise<{ dataDir: string; events: Event[] }> {
  const stage = await openStage({ folder, root });
  try {
    await stage.start();
    const load = { seed: `${seed}/bits`, clients: 2, channels: 1, inFlight: 200, largeBytes: 20_000, ackShare: 0 };
    const clients = await stage.clients(load);
    clients.allow(jobs);
    await clients.reach(jobs, AbortSignal.timeout(patienceMs));
    await stage.stop(); // moves the log into the main file
    await stage.start();
    clients.allow(jobs + lateJobs);
    await clients.reach(jobs + lateJobs / 2, AbortSignal.timeout(patienceMs));
    await stage.kill();
    await sleep(200); // what was under way reaches the driver's log
    return { dataDir: stage.dataDir, events: stage.events() };
  } finally {
    await stage.dispose();
  }
}

/** The store's files, the large ones more often. */
const store = "millpond.sqlite";
const files = [store, store, store, `${store}-wal`, `${store}-wal`, `${store}-wal`, `${store}.commits`];

/** Damages one of the store's files, and says how. */
function damage(dataDir: string, random: Random): string {
  const name = random.pick(files.filter((each) => sizeOf(join(dataDir, each)) > 0));
  const path = join(dataDir, name);
  const size = sizeOf(path);
  const kind = random.pick(["bit", "bit", "bit", "bits", "sector", "cut"] as const);
  const at = random.integer(0, size - 1);
  if (kind === "cut") {
    truncateSync(path, at);
    return `${name} was cut from ${size} to ${at} bytes`;
  }
  const length = Math.min({ bit: 1, bits: 16, sector: 512 }[kind], size - at);
  const bytes = Buffer.alloc(length);
  const file = openSync(path, "r+");
  readSync(file, bytes, 0, length, at);
  for (let index = 0; index < length; index++) bytes[index]! ^= kind === "sector" ? 0xff : 1 << random.integer(0, 7);
  writeSync(file, bytes, 0, length, at);
  closeSync(file);
  return `${name}: ${length} bytes changed at ${at} of ${size}`;
}

const sizeOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
