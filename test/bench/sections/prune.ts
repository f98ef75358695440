/** How long a Submit takes while old jobs are removed, against the same server on the same store with nothing to remove. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { makeOldJobs } from "../load/old-jobs.ts";
import { percentile, rounded } from "../numbers.ts";
import { startServer } from "../server.ts";
import { type Bench, rounds, type Section, typical } from "./section.ts";

const jobs = 1_000_000;
const callsPerSecond = 500;
const hourMs = 3_600_000;
/** Older than the default retention of acknowledged results. */
const ageMs = 2 * hourMs;
const target = 1.5;
const keepFlags = ["--retention-acknowledged-ms", String(24 * hourMs)];
/** Before the pruner has begun, and the first calls are over. */
const warmUpSeconds = 2;

export async function measurePrune(bench: Bench): Promise<Section> {
  const { folder, load, say } = bench;
  const own = join(folder, "old");
  const path = join(own, "data", "millpond.sqlite");
  await makeOldJobs(path, jobs, ageMs);
  say(`prune: ${jobs} jobs wait to be removed`);
  const seconds = bench.seconds / rounds;
  let channels = 0;

  /** Starts a server, warms it up, and measures calls; all jobs of a run are in a channel of its own. */
  async function run(flags: readonly string[]) {
    const server = await startServer(own, bench.pictures, [], flags);
    try {
      const call = (forSeconds: number) =>
        Promise.race([
          load.call(
            "runPaced",
            { address: server.address, channel: `prune-${++channels}`, seconds: forSeconds, callsPerSecond },
            120_000,
          ),
          server.died,
        ]);
      await call(warmUpSeconds);
      const before = removedFrom(path);
      const latencies = await call(seconds);
      return { latencies, removed: removedFrom(path) - before };
    } finally {
      await server.stop();
    }
  }

  const kept = [];
  const pruned = [];
  for (let round = 1; round <= rounds; round += 1) {
    kept.push(await run(keepFlags));
    pruned.push(await run([]));
    const p99 = [kept, pruned].map((slices) => percentile(slices.at(-1)?.latencies ?? [], 0.99).toFixed(2));
    say(`prune ${round}/${rounds}: p99 ${p99.join(" ms without, ")} ms while ${pruned.at(-1)?.removed} are removed`);
  }

  const [p99Ms, keptP99Ms] = [typical(pruned, 0.99), typical(kept, 0.99)];
  const ratio = p99Ms / keptP99Ms;
  const removedPerSecond = pruned.reduce((sum, { removed }) => sum + removed, 0) / bench.seconds;
  const faults = [];
  if (kept.some(({ removed }) => removed !== 0)) faults.push("jobs were removed that retention keeps");
  if (pruned.some(({ removed }) => removed <= 0)) faults.push("nothing was removed while it was measured");
  return {
    figures: {
      p50Ms: rounded(typical(pruned, 0.5), 3),
      p99Ms: rounded(p99Ms, 3),
      keptP50Ms: rounded(typical(kept, 0.5), 3),
      keptP99Ms: rounded(keptP99Ms, 3),
      ratioToKept: rounded(ratio, 3),
      removedPerSecond: rounded(removedPerSecond),
      oldJobs: jobs,
      callsPerSecond,
    },
    rows: [
      {
        figure: "prune: p99 ms of Submit",
        value: p99Ms.toFixed(2),
        comparedWith: `${keptP99Ms.toFixed(2)} ms with nothing to remove`,
        ratio,
        target: `ratio <= ${target}`,
        isReached: ratio <= target,
      },
    ],
    faults,
  };
}

/** How many of the old jobs are gone: they go in the order of their numbers. Read from outside, which no writer waits for. */
function removedFrom(path: string): number {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const { oldest } = db.prepare("SELECT min(seq) AS oldest FROM job").get() as { readonly oldest: number };
    return oldest - 1;
  } finally {
    db.close();
  }
}
