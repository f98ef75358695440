/** An open loop: jobs go one by one at a fixed rate, whether or not results come. */
import { setTimeout as delay } from "node:timers/promises";
import { createConnection, job } from "../../../clients/typescript/index.ts";
import { openLoadStream } from "./stream.ts";
import type { Counts } from "./tally.ts";

export type LatencyLoad = {
  readonly address: string;
  readonly channel: string;
  readonly seconds: number;
  readonly jobsPerSecond: number;
};

export type LatencySlice = Counts & {
  /** From the submit of each job to its result in the client's hands. */
  readonly latencies: Float64Array;
  /** How much later than planned each job was submitted; timers are only so exact. */
  readonly lateness: Float64Array;
};

export async function runLatency({ address, channel, seconds, jobsPerSecond }: LatencyLoad): Promise<LatencySlice> {
  const connection = createConnection({ address, keepaliveMs: 0 });
  const lateness: number[] = [];
  try {
    const stream = await openLoadStream(connection, channel, () => undefined);
    const startedAt = performance.now();
    const total = Math.round(seconds * jobsPerSecond);
    for (let sent = 0; sent < total; await delay(1)) {
      for (
        let plannedMs = plan(sent);
        sent < total && performance.now() - startedAt >= plannedMs;
        plannedMs = plan(sent)
      ) {
        if (!stream.submit([job("no-op", undefined)])) break; // the server reads too slowly: the next tick tries again
        lateness.push(performance.now() - startedAt - plannedMs);
        sent += 1;
      }
    }
    await stream.finish();
    const { tally } = stream;
    return { ...tally.counts(), latencies: tally.latencies(), lateness: Float64Array.from(lateness) };
  } finally {
    connection.close();
  }

  function plan(index: number): number {
    return (index * 1000) / jobsPerSecond;
  }
}
