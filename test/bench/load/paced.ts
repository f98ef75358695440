/** Unary `Submit` calls of one job each, at a fixed rate, whether or not they are answered. */
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "../../../clients/typescript/index.ts";

export type PacedLoad = {
  readonly address: string;
  readonly channel: string;
  readonly seconds: number;
  readonly callsPerSecond: number;
};

/** Resolves with how long each call took from when it went, in milliseconds. Rejects when one fails. */
export async function runPaced({ address, channel, seconds, callsPerSecond }: PacedLoad): Promise<Float64Array> {
  const client = connect({ address, retries: 0, keepaliveMs: 0 });
  const latencies: number[] = [];
  const calls: Promise<void>[] = [];
  const call = async (plannedAt: number) => {
    await client.submit("no-op", undefined, { channel });
    latencies.push(performance.now() - plannedAt);
  };
  try {
    const startedAt = performance.now();
    const total = Math.round(seconds * callsPerSecond);
    for (let sent = 0; sent < total; await delay(1)) {
      // the wait of a call that the timer was late for is not the server's, so it counts from when it went
      for (
        const now = performance.now();
        sent < total && now - startedAt >= (sent * 1000) / callsPerSecond;
        sent += 1
      ) {
        calls.push(call(performance.now()));
      }
    }
    await Promise.all(calls);
    return Float64Array.from(latencies);
  } finally {
    await client.close();
  }
}
