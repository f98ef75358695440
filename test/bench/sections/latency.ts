/** How long one job takes from submit to result when the server has little to do. */
import { percentile, rounded } from "../numbers.ts";
import { addUp, type Bench, rounds, type Section, slice, typical } from "./section.ts";

const jobsPerSecond = 1_000;
/** Two commits lie on the way, and the hops between threads. */
const targetCommits = 2.5;
const targetHopsMs = 0.8;

export async function measureLatency(bench: Bench): Promise<Section> {
  const { load, baselines, server, folder } = bench;
  let channels = 0;
  const run = (seconds: number) => {
    const options = { address: server.address, channel: `latency-${++channels}`, seconds, jobsPerSecond };
    return slice(bench, seconds, (limitMs) => load.call("runLatency", options, limitMs));
  };
  const commit = async (seconds: number) => ({
    latencies: await baselines.call("runCommits", { folder, seconds }, 60_000),
  });

  const warming = [await run(1)];
  await commit(0.5);
  const seconds = bench.seconds / rounds;
  const slices = [];
  const commits = [];
  for (let round = 1; round <= rounds; round += 1) {
    slices.push(await run(seconds));
    commits.push(await commit(seconds / 4));
    const p50 = percentile(slices.at(-1)?.latencies ?? [], 0.5);
    bench.say(`latency ${round}/${rounds}: p50 ${p50.toFixed(2)} ms`);
  }

  const { counts, faults } = addUp([...warming, ...slices]);
  const p50Ms = typical(slices, 0.5);
  const p99Ms = typical(slices, 0.99);
  const commitP50Ms = typical(commits, 0.5);
  const commitP99Ms = typical(commits, 0.99);
  const ratioToCommit = p50Ms / commitP50Ms;
  const targetMs = targetCommits * commitP50Ms + targetHopsMs;
  const lateness = slices.flatMap((each) => [...each.lateness]);

  return {
    figures: {
      p50Ms: rounded(p50Ms, 3),
      p90Ms: rounded(typical(slices, 0.9), 3),
      p99Ms: rounded(p99Ms, 3),
      commitP50Ms: rounded(commitP50Ms, 3),
      commitP99Ms: rounded(commitP99Ms, 3),
      ratioToCommit: rounded(ratioToCommit, 3),
      jobsPerSecond,
      latenessP50Ms: rounded(percentile(lateness, 0.5), 3),
      latenessP99Ms: rounded(percentile(lateness, 0.99), 3),
      ...counts,
    },
    rows: [
      {
        figure: "latency: p50 ms at 1000 jobs/s",
        value: p50Ms.toFixed(2),
        comparedWith: `${commitP50Ms.toFixed(2)} ms for one commit`,
        ratio: ratioToCommit,
        target: `<= ${targetMs.toFixed(2)} later`,
        isReached: p50Ms <= targetMs,
      },
      {
        figure: "latency: p99 ms at 1000 jobs/s",
        value: p99Ms.toFixed(2),
        comparedWith: `${commitP99Ms.toFixed(2)} ms for one commit`,
        ratio: p99Ms / commitP99Ms,
        target: "",
        isReached: undefined,
      },
    ],
    faults,
  };
}
