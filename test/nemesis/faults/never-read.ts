/** N9: readers that ask for results and never read them. The server must stop reading the store, not fill its memory. */
import { readFileSync } from "node:fs";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { ResultsRequestSchema } from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { Clients } from "../stage/clients.ts";
import { inspectable, type LiveMemory, openLiveMemory } from "../stage/live-memory.ts";
import { openStage } from "../stage/stage.ts";
import { type Fault, sleep } from "./fault.ts";

const sizes = { ci: { streams: 100, ms: 8_000 }, gate: { streams: 1_000, ms: 600_000 } };
const leaseMs = 30_000;
/** What the live memory may grow by, for all streams together. */
const allowedMiB = 64;
/** Two results: as much as is read from the store for a stream that reads nothing. */
const readBytes = 100_000;
const perConnection = 50;
/** 300 results of 60,000 letters: each reader could take 18 MB. */
const [jobs, padding] = [300, 60_000];
const sampleMs = 200;
/** The client acknowledges nothing, so that there is much to read; its stream may have 10,000 such results. */
const mostJobs = 9_000;
/** For what the others' work takes by itself. */
const settleMs = 3_000;
/** A stream that reads and has nothing so long after that waits in vain. */
const patienceMs = 60_000;

export const neverRead: Fault = {
  name: "readers",
  row: "N9",
  says: "streams of results that nobody reads",
  needs: () => null,
  async run({ folder, root, seed, isGate, asked }) {
    const { streams, ms } = isGate ? sizes.gate : sizes.ci;
    const count = asked.kills ?? streams;
    const flags = ["--limits-result-streams", String(count + 100), "--slow-reader-ms", isGate ? "30000" : "3000"];
    const { port, flag } = await inspectable();
    const stage = await openStage({ folder, root, flags, nodeFlags: [flag] });
    const sessions: ClientHttp2Session[] = [];
    try {
      const { pid, grpc } = await stage.start();
      const memory = await openLiveMemory(port);
      const load = { clients: 1, channels: 1, largeBytes: 0, padding, ackShare: 0 };
      const clients = await stage.clients({ ...load, seed: `${seed}/readers`, inFlight: 50 });
      clients.allow(jobs);
      await clients.reach(jobs, AbortSignal.timeout(30_000));
      const open = <T>(streams: number, take: (stream: ClientHttp2Stream) => T) =>
        Array.from({ length: streams }, (_, at) => {
          if (at % perConnection === 0) sessions.push(dial(grpc));
          return take(openReader(sessions.at(-1) as ClientHttp2Session));
        });
      const cut = () => {
        for (const session of sessions.splice(0)) session.destroy();
      };
      const before = await mostMemory(memory, clients, settleMs);
      const giveUp = setTimeout(cut, patienceMs).unref();
      let inVain = 0;
      // one connection after the other: this process has to keep up with what it reads
      for (let at = 0; at < count; at += perConnection) {
        const hasRead = await Promise.all(open(Math.min(perConnection, count - at), readSome));
        inVain += hasRead.filter((one) => !one).length;
      }
      clearTimeout(giveUp);
      cut();
      let endedByServer = 0;
      for (const end of open(count, ended)) void end.then(() => (endedByServer += 1));
      const most = await mostMemory(memory, clients, ms);
      const residentMiB = Math.round(residentMemoryMiB(pid));
      cut();
      memory.close();
      const left = await clients.finish();
      await stage.stop();
      const grownMiB = Math.round(most - before);
      const texts = [
        ...(grownMiB > allowedMiB ? [`memory grew by ${grownMiB} MiB, and ${allowedMiB} are allowed`] : []),
        ...(inVain > 0 ? [`${inVain} of ${count} streams that were read did not get their results`] : []),
      ];
      const atLeast = { I1: jobs, I2: jobs, I5: 1, I6: 1, I9: 1, I10: jobs, I18: 1, I19: 1 };
      const verdict = stage.judge({ leaseMs, atLeast }, () => texts.map((text) => ({ invariant: "N9", text })));
      const measured = { left, beforeMiB: Math.round(before), grownMiB, allowedMiB, residentMiB, endedByServer };
      return { happened: count, planned: count, measured, verdict };
    } finally {
      for (const session of sessions) session.destroy();
      await stage.dispose();
    }
  },
};

function dial(address: string): ClientHttp2Session {
  const session = connect(`http://${address}`);
  session.on("error", () => undefined); // what ends is counted by its streams
  return session;
}

/** Asks for all results from the first on. */
function openReader(session: ClientHttp2Session): ClientHttp2Stream {
  const stream = session.request({
    ":method": "POST",
    ":path": "/millpond.v1.WorkerPoolService/Results",
    ...{ "content-type": "application/grpc", te: "trailers", "millpond-client": "client-0" },
  });
  stream.on("error", () => undefined);
  const message = toBinary(ResultsRequestSchema, create(ResultsRequestSchema, { channel: "channel-0" }));
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  stream.end(frame);
  return stream;
}

/** Takes nothing; resolves when the stream has ended. */
function ended(stream: ClientHttp2Stream): Promise<void> {
  stream.pause();
  return new Promise((resolve) => void stream.once("close", resolve));
}

/** Takes the first results and ends the stream; resolves with whether they came. */
function readSome(stream: ClientHttp2Stream): Promise<boolean> {
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes >= readBytes) stream.close();
  });
  return new Promise((resolve) => void stream.once("close", () => resolve(bytes >= readBytes)));
}

/** The most that the server's live memory is while clients go on working for so long. */
async function mostMemory(memory: LiveMemory, clients: Clients, ms: number): Promise<number> {
  let most = 0;
  const until = performance.now() + ms;
  const perSample = Math.min(5, Math.floor((mostJobs / ms) * sampleMs));
  while (performance.now() < until) {
    clients.allow(clients.submitted + perSample);
    await sleep(sampleMs);
    most = Math.max(most, await memory.measure());
  }
  return most;
}

function residentMemoryMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}
