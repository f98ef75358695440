/** What requests under way cost in memory, measured on a server in a process of its own. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { clientAt, makePlace } from "../../server/place.ts";
import type { TestServer } from "../../cli/server.ts";
import { echo, fates } from "../jobs.ts";
import { begin, beginHttp1, dial, envelope } from "./raw-requests.ts";

const large = 4_000_000;
const almostAll = envelope(large, large - 100_000);
/** All requests of a test send almost 2 GB; the budget is 32 MiB, and buffers on the way cost several times that. */
const requests = 500;
const maxGrowthMiB = 450;
/** So many polite calls in a row during which nothing more could be sent: the server reads no more. */
const quietCalls = 30;

type Attack = { sentBytes(): number; end(): void };

describe("500 requests of 4 MB that never end", { skip: process.platform !== "linux" && "reads /proc" }, () => {
  let server: TestServer;
  const cleanUps: (() => Promise<void> | void)[] = [];
  before(async () => {
    const place = await makePlace({ after: (action) => void cleanUps.push(action as () => Promise<void>) });
    server = await place.start(["--limits-request-mib", "32", "--slow-sender-ms", "3600000"]);
  });
  after(async () => {
    for (const cleanUp of cleanUps) await cleanUp();
  });

  async function residentMiB(): Promise<number> {
    const status = await readFile(`/proc/${server.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
  }

  function overHttp2(address: string, connections: number): Attack {
    const sessions = Array.from({ length: connections }, () => dial(address));
    for (const session of sessions) {
      for (let count = 0; count < requests / connections; count += 1) begin(session).write(almostAll);
    }
    return {
      sentBytes: () => sessions.reduce((sum, { socket }) => sum + (socket?.bytesWritten ?? 0), 0),
      end: () => sessions.forEach((session) => session.destroy()),
    };
  }

  async function overHttp1(address: string): Promise<Attack> {
    const sockets = await Promise.all(Array.from({ length: requests }, () => beginHttp1(address, large)));
    for (const socket of sockets) socket.write(almostAll);
    return {
      sentBytes: () => sockets.reduce((sum, socket) => sum + socket.bytesWritten - socket.writableLength, 0),
      end: () => sockets.forEach((socket) => socket.destroy()),
    };
  }

  for (const [what, start] of [
    ["on ten connections to the gRPC port", () => overHttp2(server.serving.grpc, 10)],
    ["on connections of HTTP/1.1", () => overHttp1(server.serving.http)],
  ] as const) {
    test(`cost little more than the budget ${what}, and polite calls are served meanwhile`, async () => {
      const client = clientAt(server, undefined, "polite");
      const before = await residentMiB();
      const attack = await start();
      let sent = -1;
      for (let quiet = 0; quiet < quietCalls; quiet = attack.sentBytes() === sent ? quiet + 1 : 0) {
        sent = attack.sentBytes();
        assert.deepEqual(fates((await client.submit({ jobs: [echo("polite")] })).receipts), ["accepted"]);
      }
      const growth = (await residentMiB()) - before;
      attack.end();
      assert.ok(growth < maxGrowthMiB, `it grew by ${growth.toFixed(0)} MiB`);
    });
  }
});
