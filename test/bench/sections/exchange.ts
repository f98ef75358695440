/** Durable jobs over one exchange stream, results received and acknowledged, as fast as it goes. */
import { availableParallelism } from "node:os";
import { meanOfMixedMs } from "../load/mixed.ts";
import type { LoadTask } from "../load/exchange.ts";
import { median, rounded, sum } from "../numbers.ts";
import { peakMemoryMiB } from "../usage.ts";
import { addUp, type Bench, rounds, type Section, slice, typical } from "./section.ts";

/** As quick as any that was tried (2,000 to 30,000 in flight, 100 to 500 a message), and less waits in line. */
const jobsInFlight = 4_000;
const jobsPerMessage = 250;
const target = 20_000;
/** Of `mixed`, which takes longer: always more than the workers can take, and yet soon done at the end. */
const mixedInFlight = 500;
const mixedPerMessage = 50;

export async function measureExchange(bench: Bench): Promise<Section> {
  const { load, baselines, echo, server } = bench;
  const echoAddress = await echo.call("listen", { host: "127.0.0.1" }, 10_000);
  let channels = 0;
  const run = (task: LoadTask, seconds: number, sizes = { jobsInFlight, jobsPerMessage }) => {
    const channel = `exchange-${++channels}`;
    const options = { address: server.address, channel, task, seconds, ...sizes };
    return slice(bench, seconds, (limitMs) => load.call("runExchange", options, limitMs));
  };
  const runMixed = (seconds: number) =>
    run("mixed", seconds, { jobsInFlight: mixedInFlight, jobsPerMessage: mixedPerMessage });
  const bareEcho = (seconds: number) => load.call("runEchoMessages", { address: echoAddress, seconds }, 60_000);
  const bareThreads = (seconds: number) => baselines.call("runPiscina", { seconds }, 60_000);

  const warming = [await run("no-op", 1), await run("echo", 0.5), await runMixed(0.5)];
  await bareEcho(0.5);
  const seconds = bench.seconds / rounds;
  const slices = [];
  const echoes = [];
  const mixes = [];
  const messages: number[] = [];
  const threads: number[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    slices.push(await run("no-op", seconds));
    messages.push(await bareEcho(seconds / 2));
    echoes.push(await run("echo", seconds / 2));
    mixes.push(await runMixed(seconds / 2));
    threads.push(await bareThreads(seconds / 4));
    bench.say(`exchange ${round}/${rounds}: ${Math.round(slices.at(-1)?.jobsPerSecond ?? 0)} jobs/s`);
  }

  const jobsPerSecond = median(slices.map((each) => each.jobsPerSecond));
  const echoTaskJobsPerSecond = median(echoes.map((each) => each.jobsPerSecond));
  const mixedJobsPerSecond = median(mixes.map((each) => each.jobsPerSecond));
  const mixedBusyShare = (mixedJobsPerSecond * meanOfMixedMs) / 1000 / availableParallelism();
  const echoMessagesPerSecond = median(messages);
  const piscinaJobsPerSecond = median(threads);
  const clientCpuSeconds = sum(slices.map((each) => each.cpuSeconds));
  const serverCpuSeconds = sum(slices.map((each) => each.serverCpuSeconds));
  const jobs = sum(slices.map(({ results }) => results));
  const cpuSecondsPer100kJobs = ((clientCpuSeconds + serverCpuSeconds) / jobs) * 100_000;
  const { counts, faults } = addUp([...warming, ...slices, ...echoes, ...mixes]);
  const ratioToEcho = jobsPerSecond / echoMessagesPerSecond;
  const ratioToPiscina = jobsPerSecond / piscinaJobsPerSecond;

  return {
    figures: {
      jobsPerSecond: rounded(jobsPerSecond),
      slowestJobsPerSecond: rounded(Math.min(...slices.map((each) => each.jobsPerSecond))),
      fastestJobsPerSecond: rounded(Math.max(...slices.map((each) => each.jobsPerSecond))),
      ratioToEcho: rounded(ratioToEcho),
      ratioToPiscina: rounded(ratioToPiscina),
      ...counts,
      cpuSecondsPer100kJobs: rounded(cpuSecondsPer100kJobs, 3),
      clientCpuSeconds: rounded(clientCpuSeconds, 3),
      serverCpuSeconds: rounded(serverCpuSeconds, 3),
      serverRssMiB: rounded(peakMemoryMiB(server.pid), 3),
      p50Ms: rounded(typical(slices, 0.5), 3),
      p99Ms: rounded(typical(slices, 0.99), 3),
      echoTaskJobsPerSecond: rounded(echoTaskJobsPerSecond),
      mixedJobsPerSecond: rounded(mixedJobsPerSecond),
      mixedBusyShare: rounded(mixedBusyShare, 3),
      echoMessagesPerSecond: rounded(echoMessagesPerSecond),
      piscinaJobsPerSecond: rounded(piscinaJobsPerSecond),
      jobsInFlight,
      jobsPerMessage,
    },
    rows: [
      {
        figure: "exchange: no-op jobs/s",
        value: jobsPerSecond.toFixed(0),
        comparedWith: `${echoMessagesPerSecond.toFixed(0)} bare echo messages/s`,
        ratio: ratioToEcho,
        target: `>= ${target}`,
        isReached: jobsPerSecond >= target,
      },
      {
        figure: "exchange: no-op jobs/s",
        value: jobsPerSecond.toFixed(0),
        comparedWith: `${piscinaJobsPerSecond.toFixed(0)} bare piscina jobs/s`,
        ratio: ratioToPiscina,
        target: "",
        isReached: undefined,
      },
      {
        figure: "exchange: echo jobs/s",
        value: echoTaskJobsPerSecond.toFixed(0),
        comparedWith: "no-op jobs",
        ratio: echoTaskJobsPerSecond / jobsPerSecond,
        target: "",
        isReached: undefined,
      },
      {
        figure: "exchange: mixed jobs/s",
        value: mixedJobsPerSecond.toFixed(0),
        comparedWith: "workers that never wait",
        ratio: mixedBusyShare,
        target: "",
        isReached: undefined,
      },
      {
        figure: "exchange: CPU s / 100k jobs",
        value: cpuSecondsPer100kJobs.toFixed(2),
        comparedWith: `client ${clientCpuSeconds.toFixed(1)} s, server ${serverCpuSeconds.toFixed(1)} s`,
        ratio: undefined,
        target: "",
        isReached: undefined,
      },
    ],
    faults,
  };
}
