/** N9: readers that ask for results and never read them. The server must stop reading the store, not fill its memory. */
import { readFileSync } from "node:fs";
import { type ClientHttp2Session, connect } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { ResultsRequestSchema } from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { Clients } from "../stage/clients.ts";
import { openStage } from "../stage/stage.ts";
import { type Fault, sleep } from "./fault.ts";

const sizes = { ci: { streams: 100, ms: 8_000 }, gate: { streams: 1_000, ms: 600_000 } };
const leaseMs = 30_000;
/** What the memory may grow by: for each stream the batch of 1 MiB that it holds, as results, as a message and as frames. */
const growthMiB = { once: 64, perStream: 3 };
const perConnection = 50;
/** 300 results of 60,000 letters: each reader could take 18 MB. */
const [jobs, padding] = [300, 60_000];
const sampleMs = 100;
const settleMs = 3_000;

export const neverRead: Fault = {
  name: "readers",
  row: "N9",
  says: "streams of results that nobody reads",
  needs: () => null,
  async run({ folder, root, seed, isGate, asked }) {
    const { streams, ms } = isGate ? sizes.gate : sizes.ci;
    const count = asked.kills ?? streams;
    const flags = ["--limits-result-streams", String(count + 100), "--slow-reader-ms", isGate ? "30000" : "3000"];
    const stage = await openStage({ folder, root, flags });
    const sessions: ClientHttp2Session[] = [];
    try {
      const { pid, grpc } = await stage.start();
      const load = { clients: 1, channels: 1, largeBytes: 0, padding, ackShare: 0 };
      const clients = await stage.clients({ ...load, seed: `${seed}/readers`, inFlight: 50 });
      clients.allow(jobs);
      await clients.reach(jobs, AbortSignal.timeout(30_000));
      // what the others' work needs by itself
      const before = await mostMemory(pid, clients, settleMs);
      let opened = 0;
      let ended = 0;
      for (let at = 0; at < count; at += perConnection) {
        const session = connect(`http://${grpc}`);
        session.on("error", () => undefined); // what ends is counted by its streams
        sessions.push(session);
        for (let stream = at; stream < Math.min(count, at + perConnection); stream++) {
          void openReader(session).then(
            () => (ended += 1),
            () => undefined,
          );
          opened += 1;
        }
      }
      const most = await mostMemory(pid, clients, ms);
      for (const session of sessions) session.destroy();
      const left = await clients.finish();
      await stage.stop();
      const grownMiB = Math.round(most - before);
      const allowedMiB = growthMiB.once + growthMiB.perStream * count;
      const text = `memory grew by ${grownMiB} MiB, and ${allowedMiB} are allowed`;
      const atLeast = { I1: jobs, I2: jobs, I5: 1, I6: 1, I9: 1, I10: jobs, I18: 1, I19: 1 };
      const verdict = stage.judge({ leaseMs, atLeast }, () =>
        grownMiB > allowedMiB ? [{ invariant: "N9", text }] : [],
      );
      const measured = { left, beforeMiB: Math.round(before), grownMiB, allowedMiB, endedByServer: ended };
      return { happened: opened, planned: count, measured, verdict };
    } finally {
      for (const session of sessions) session.destroy();
      await stage.dispose();
    }
  },
};

/** Asks for all results from the first on, and never takes any; resolves when the server ends the stream. */
function openReader(session: ClientHttp2Session): Promise<void> {
  const stream = session.request({
    ":method": "POST",
    ":path": "/millpond.v1.WorkerPoolService/Results",
    ...{ "content-type": "application/grpc", te: "trailers", "millpond-client": "client-0" },
  });
  const message = toBinary(ResultsRequestSchema, create(ResultsRequestSchema, { channel: "channel-0" }));
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  stream.end(frame);
  stream.pause();
  return new Promise((resolve, reject) => {
    stream.on("close", resolve);
    stream.on("error", reject);
  });
}

/** The most that the process's memory is while clients go on working for so long. */
async function mostMemory(pid: number, clients: Clients, ms: number): Promise<number> {
  let most = 0;
  const until = performance.now() + ms;
  while (performance.now() < until) {
    clients.allow(clients.submitted + 5);
    await sleep(sampleMs);
    most = Math.max(most, memoryMiB(pid));
  }
  return most;
}

/** The process's resident memory. */
function memoryMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}
