/** A closed loop over one exchange stream: as soon as results come, as many new jobs go. */
import { setTimeout as delay } from "node:timers/promises";
import { createConnection, type Job, job } from "../../../clients/typescript/index.ts";
import { mixedMs } from "./mixed.ts";
import { type LoadStream, openLoadStream } from "./stream.ts";
import type { Counts } from "./tally.ts";

export type LoadTask = "no-op" | "echo" | "mixed";

export type ExchangeLoad = {
  readonly address: string;
  readonly channel: string;
  readonly task: LoadTask;
  /** How long results are counted, after the ramp. */
  readonly seconds: number;
  /** Bound on jobs submitted and not finished. */
  readonly jobsInFlight: number;
  readonly jobsPerMessage: number;
};

export type ExchangeSlice = Counts & {
  readonly jobsPerSecond: number;
  /** Of the jobs that were finished while results were counted. */
  readonly latencies: Float64Array;
  /** Of this process, ramp and drain included. */
  readonly cpuSeconds: number;
};

/** Until the loop is full and turns at its own speed. */
const rampMs = 300;
const echoInput = { to: "someone@example.org", subject: "hello", copies: 3 };
export async function runExchange(load: ExchangeLoad): Promise<ExchangeSlice> {
  const connection = createConnection({ address: load.address, keepaliveMs: 0 });
  const cpuBefore = process.cpuUsage();
  let isOpen = true;
  let waiting: Job[] = [];
  let stream: LoadStream | undefined;
  let made = 0;
  const nextJob = () => job(load.task, inputOf(load.task, made++));

  const fill = () => {
    while (isOpen && stream && stream.tally.underWay() + load.jobsPerMessage <= load.jobsInFlight) {
      if (waiting.length === 0) waiting = Array.from({ length: load.jobsPerMessage }, nextJob);
      if (!stream.submit(waiting)) return;
      waiting = [];
    }
  };
  try {
    stream = await openLoadStream(connection, load.channel, fill);
    fill();
    await delay(rampMs);
    const before = stream.tally.results();
    stream.tally.forgetLatencies();
    const startedAt = performance.now();
    await delay(load.seconds * 1000);
    const jobsPerSecond = ((stream.tally.results() - before) / (performance.now() - startedAt)) * 1000;
    const latencies = stream.tally.latencies();
    isOpen = false;
    await stream.finish();
    const { user, system } = process.cpuUsage(cpuBefore);
    return { ...stream.tally.counts(), jobsPerSecond, latencies, cpuSeconds: (user + system) / 1e6 };
  } finally {
    isOpen = false;
    connection.close();
  }
}

function inputOf(task: LoadTask, index: number): unknown {
  if (task === "no-op") return undefined;
  return task === "echo" ? echoInput : mixedMs(index);
}
