/** Many callers that each submit one job, wait until it is durable, and submit the next. */
import { connect, createConnection, newJobId } from "../../../clients/typescript/index.ts";
import { openLoadStream } from "./stream.ts";
import { type Counts, createTally } from "./tally.ts";

export type SubmitLoad = {
  readonly address: string;
  readonly channel: string;
  readonly seconds: number;
  /** Calls under way at once. */
  readonly callers: number;
};

export type CallSlice = {
  readonly callsPerSecond: number;
  readonly latencies: Float64Array;
  /** Of this process, while calls were made. */
  readonly cpuSeconds: number;
};

/** Calls first, and reads the results of all jobs afterwards, to see that each has one. */
export async function runSubmit({ address, channel, seconds, callers }: SubmitLoad): Promise<CallSlice & Counts> {
  const client = connect({ address, retries: 0, keepaliveMs: 0 });
  const tally = createTally();
  try {
    const slice = await makeCalls({ seconds, callers }, async (startedAt) => {
      const id = newJobId();
      tally.submitted([id], startedAt);
      await client.submit("no-op", undefined, { id, channel });
    });
    const connection = createConnection({ address, keepaliveMs: 0 });
    const stream = await openLoadStream(connection, channel, () => undefined, tally);
    await stream.finish();
    connection.close();
    return { ...slice, ...tally.counts() };
  } finally {
    await client.close();
  }
}

/** Makes calls for some seconds; every caller goes on at once when its call is answered. Rejects when one fails. */
export async function makeCalls(
  { seconds, callers }: Pick<SubmitLoad, "seconds" | "callers">,
  call: (startedAt: number) => Promise<void>,
): Promise<CallSlice> {
  const cpuBefore = process.cpuUsage();
  const latencies: number[] = [];
  const beganAt = performance.now();
  const endsAt = beganAt + seconds * 1000;
  const caller = async () => {
    for (let startedAt = performance.now(); startedAt < endsAt; startedAt = performance.now()) {
      await call(startedAt);
      latencies.push(performance.now() - startedAt);
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    callsPerSecond: (latencies.length / (performance.now() - beganAt)) * 1000,
    latencies: Float64Array.from(latencies),
    cpuSeconds: (user + system) / 1e6,
  };
}
