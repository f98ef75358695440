/**
 * N6: the process sleeps longer than a lease, as a machine that is suspended, and then goes on as if nothing had been.
 *
 * `stop` is the server as it is: it alone has the store, so it renews what it still runs, and no fence has to refuse
 * anything. `rival` is a copy whose reaper gives away what ran out while it slept, as another server would that shares the
 * store: the attempts that go on regardless must be refused by their fence.
 */
import { join } from "node:path";
import { type CheckOptions, withBreach } from "../checker.ts";
import type { Event } from "../history/event.ts";
import { toHistory } from "../history/history.ts";
import { plantCopy, root as ownRoot } from "../bugs/planted-copy.ts";
import { hasSetting } from "../stage/features.ts";
import { openStage } from "../stage/stage.ts";
import { type Fault, sleep, type Trial, type TrialResult } from "./fault.ts";

const sizes = { ci: { stops: 10, jobs: 1_000 }, gate: { stops: 200, jobs: 200_000 } };
const leaseMs = 1_000;
const awakeMs = [200, 900] as const;
const asleepMs = [1_100, 1_800] as const;
/** Long enough that there are always some under way when it falls asleep, and still when it wakes. */
const [lastsMs, slowShare] = [2_500, 5];

function needs(root: string): string | null {
  return hasSetting(root, "leaseMs") ? null : "this server has no setting leaseMs";
}

export const stop: Fault = {
  name: "stop",
  row: "N6",
  says: "SIGSTOP for longer than the lease",
  needs,
  run: (trial) => sleepLong("stop", trial, {}),
};

/** The reaper of a server that knows nothing of what this process runs, and that is the first to look. */
const reaper = [
  { text: "({ seq, fence }) => held.get(seq) !== fence", by: "() => held.size >= 0" },
  { text: "const everyMs = 1_000;", by: "const everyMs = 20;" },
].map((replaced) => ({ file: "engine/upkeep/reaper.ts", ...replaced }));

const except = { I14: "a retry's delay counts from when its attempt was given away, and that attempt goes on" };

export const rival: Fault = {
  name: "rival",
  row: "N6",
  says: "SIGSTOP for longer than the lease, and what ran out is given to another meanwhile",
  needs: (root) => (join(root) === ownRoot ? needs(root) : "it takes a copy of this clone only"),
  async run(trial) {
    const copy = await plantCopy(reaper);
    try {
      const result = await sleepLong("rival", { ...trial, root: copy.folder }, { isShared: true, except });
      if (result.measured["fenced"]! > 0) return result;
      const text = "no outcome was refused by its fence: nothing was proved";
      return { ...result, verdict: withBreach(result.verdict, { invariant: "N6", text }) };
    } finally {
      await copy.remove();
    }
  },
};

async function sleepLong(
  name: string,
  { folder, root, seed, random, isGate, asked }: Trial,
  rules: Pick<CheckOptions, "isShared" | "except">,
): Promise<TrialResult> {
  const size = isGate ? sizes.gate : sizes.ci;
  const [count, jobs] = [asked.kills ?? size.stops, asked.jobs ?? size.jobs];
  const plan = Array.from({ length: count }, () => [random.integer(...awakeMs), random.integer(...asleepMs)] as const);
  const flags = ["--lease-ms", String(leaseMs)];
  const pools = JSON.stringify({ cpu: { workers: 4 }, io: { workers: 1 } });
  const stage = await openStage({ folder, root, flags, pools });
  try {
    const server = await stage.start();
    const load = {
      seed: `${seed}/${name}`,
      clients: 2,
      channels: 2,
      inFlight: 100,
      largeBytes: 0,
      longMs: lastsMs,
      slowShare,
    };
    const clients = await stage.clients(load);
    for (const [index, [awake, asleep]] of plan.entries()) {
      clients.allow(Math.ceil((jobs * (index + 1)) / count));
      await sleep(awake);
      stage.fault("stop", `asleep for ${asleep} ms`, true);
      server.kill("SIGSTOP");
      await sleep(asleep);
      server.kill("SIGCONT");
      stage.fault("stop", "awake", true);
    }
    clients.allow(jobs);
    const left = await clients.finish();
    await stage.stop();
    let fenced = 0;
    const atLeast = { I1: jobs * 0.9, I2: 1, I5: 1, I6: 1, I7: 1, I8: 1, I9: 1, I10: 1, I18: 1, I19: 1 };
    const verdict = stage.judge({ leaseMs, atLeast, ...rules }, (events) => {
      fenced = refusedByFence(events);
      return [];
    });
    return { happened: count, planned: count, measured: { left, fenced }, verdict };
  } finally {
    await stage.dispose();
  }
}

/** Executions that returned after their job had been given to another: their outcome was refused. */
function refusedByFence(events: readonly Event[]): number {
  const returned = new Set<string>();
  for (const event of events) if (event.kind === "finished" && event.how === "returned") returned.add(event.run);
  let refused = 0;
  for (const { results, runs } of toHistory(events).jobs.values()) {
    const kept = results[0]?.run;
    if (kept !== undefined && kept !== null)
      refused += runs.filter(({ run }) => returned.has(run) && run !== kept).length;
  }
  return refused;
}
