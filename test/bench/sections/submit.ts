/** Durable single-job Submit calls, against calls that a bare grpc-js server answers at once. */
import { median, rounded, sum } from "../numbers.ts";
import { addUp, type Bench, rounds, type Section, slice, typical } from "./section.ts";

/** Calls under way at once; more made neither side quicker. */
const callers = 128;
const target = 0.6;

export async function measureSubmit(bench: Bench): Promise<Section> {
  const { load, echo, server } = bench;
  const echoAddress = await echo.call("listen", { host: "127.0.0.1" }, 10_000);
  let channels = 0;
  const run = (seconds: number) => {
    const options = { address: server.address, channel: `submit-${++channels}`, seconds, callers };
    return slice(bench, seconds, (limitMs) => load.call("runSubmit", options, limitMs));
  };
  const bare = (seconds: number) => load.call("runEchoCalls", { address: echoAddress, seconds, callers }, 60_000);

  const warming = [await run(1)];
  await bare(1);
  const seconds = bench.seconds / rounds;
  const slices = [];
  const echoes = [];
  for (let round = 1; round <= rounds; round += 1) {
    slices.push(await run(seconds));
    echoes.push(await bare(seconds));
    bench.say(`submit ${round}/${rounds}: ${Math.round(slices.at(-1)?.callsPerSecond ?? 0)} calls/s`);
  }

  const callsPerSecond = median(slices.map((each) => each.callsPerSecond));
  const echoCallsPerSecond = median(echoes.map((each) => each.callsPerSecond));
  const ratioToEcho = callsPerSecond / echoCallsPerSecond;
  const { counts, faults } = addUp([...warming, ...slices]);
  const clientCpuSeconds = sum(slices.map((each) => each.cpuSeconds));

  return {
    figures: {
      callsPerSecond: rounded(callsPerSecond),
      echoCallsPerSecond: rounded(echoCallsPerSecond),
      ratioToEcho: rounded(ratioToEcho),
      p50Ms: rounded(typical(slices, 0.5), 3),
      p99Ms: rounded(typical(slices, 0.99), 3),
      echoP50Ms: rounded(typical(echoes, 0.5), 3),
      echoP99Ms: rounded(typical(echoes, 0.99), 3),
      clientCpuSeconds: rounded(clientCpuSeconds, 3),
      ...counts,
      callers,
    },
    rows: [
      {
        figure: "submit: calls/s",
        value: callsPerSecond.toFixed(0),
        comparedWith: `${echoCallsPerSecond.toFixed(0)} bare echo calls/s`,
        ratio: ratioToEcho,
        target: `ratio >= ${target}`,
        isReached: ratioToEcho >= target,
      },
    ],
    faults,
  };
}
