/** Requests that arrive slowly, or never in whole: they are cut, and nobody else waits for them. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { constants, type ClientHttp2Stream } from "node:http2";
import { after, before, describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { openServer, type TestServer, type Way, ways } from "../fixtures.ts";
import { data, echo, fates } from "../jobs.ts";
import { begin, beginHttp1, dial, envelope } from "./raw-requests.ts";

const large = 4_000_000;
const portOf = {
  gRPC: (server: TestServer) => server.grpcAddress,
  HTTP: (server: TestServer) => server.httpAddress,
} as const;

/** Resolves with the code that the server cuts the stream with. */
function cutOf(stream: ClientHttp2Stream): Promise<number | undefined> {
  return new Promise((resolve) => void stream.once("close", () => resolve(stream.rstCode)));
}

describe("while large requests use up the budget and stall", () => {
  let server: TestServer;
  before(async () => {
    server = await openServer({ limits: { requestMiB: 32 }, slowSenderMs: 3_600_000 });
  });
  after(() => server.remove());

  for (const [name, addressOf] of Object.entries(portOf)) {
    test(`a polite Submit is served, whatever its way, when they came to the ${name} port`, async () => {
      const sessions = [1, 2].map(() => dial(addressOf(server)));
      const body = envelope(large, large - 100_000);
      const written = sessions.map((session) => {
        const streams = Array.from({ length: 10 }, () => begin(session));
        return Promise.any(
          streams.map((stream) => new Promise<void>((resolve) => void stream.write(body, () => resolve()))),
        );
      });
      await Promise.all(written); // each has at least one that was read to where it stops
      for (const way of Object.values(ways) as readonly Way[]) {
        const client = server.client(way, "polite");
        const jobs = [echo("small"), { task: "echo", input: data(new Uint8Array(100_000)) }];
        assert.deepEqual(fates((await client.submit({ jobs })).receipts), ["accepted", "accepted"]);
      }
      for (const session of sessions) session.destroy();
    });
  }
});

describe("a request", () => {
  let server: TestServer;
  before(async () => {
    server = await openServer({ limits: { requestMiB: 32 }, slowSenderMs: 300 });
  });
  after(() => server.remove());

  for (const [name, addressOf] of Object.entries(portOf)) {
    for (const [what, bytes] of [
      ["sends no byte of its body", Buffer.alloc(0)],
      ["stops within the head of its message", Buffer.alloc(3)],
      ["stops within a small message", envelope(1_000, 500)],
      ["stops within a large message", envelope(large, large / 2)],
      ["sends its message and never ends", envelope(0)],
    ] as const) {
      test(`that ${what} is cut on the ${name} port, and its connection stays`, async () => {
        const session = dial(addressOf(server));
        const stream = begin(session);
        if (bytes.length > 0) stream.write(bytes);
        assert.equal(await cutOf(stream), constants.NGHTTP2_ENHANCE_YOUR_CALM);
        assert.equal(session.closed, false);
        session.destroy();
      });
    }

    test(`whose message comes in a huge number of tiny frames is cut on the ${name} port`, async () => {
      const session = dial(addressOf(server));
      const stream = begin(session);
      stream.write(envelope(10_000, 0));
      const cut = cutOf(stream);
      for (let count = 0; count < 2_000 && !stream.closed; count += 1) {
        await new Promise<void>((resolve) => void stream.write(Buffer.alloc(1), () => resolve())); // a frame of its own
      }
      assert.equal(await cut, constants.NGHTTP2_ENHANCE_YOUR_CALM);
      session.destroy();
    });
  }

  test("over HTTP/1.1 that stops in the middle is cut with its connection", async () => {
    for (const sent of [0, 100, 1_000_000]) {
      const socket = await beginHttp1(server.httpAddress, large);
      if (sent > 0) socket.write(Buffer.alloc(sent, " "));
      await once(socket, "close");
    }
  });
});

test("whole small requests to the gRPC port that never end are cut when they hold more than the budget", async () => {
  const server = await openServer({ limits: { requestMiB: 4 }, slowSenderMs: 3_600_000 });
  const sessions = [1, 2, 3].map(() => dial(server.grpcAddress));
  const cut = sessions.map((session) => {
    const streams = Array.from({ length: 60 }, () => begin(session));
    for (const stream of streams) stream.write(envelope(15_000));
    return Promise.race(streams.map(cutOf));
  });
  assert.equal(await Promise.race(cut), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  await setImmediate(); // Node aborts when a session is destroyed while it reads that streams are cut
  for (const session of sessions) session.destroy();
  await server.remove();
});

describe("after requests that stalled were cut", () => {
  let server: TestServer;
  before(async () => {
    // so long that a busy machine cuts nobody who goes on
    server = await openServer({ limits: { requestMiB: 32 }, slowSenderMs: 3_000 });
  });
  after(() => server.remove());

  for (const [name, addressOf] of Object.entries(portOf)) {
    test(`a large request is served that waited for their room on the ${name} port`, async () => {
      const sessions = Array.from({ length: 4 }, () => dial(addressOf(server)));
      for (const session of sessions) {
        for (let count = 0; count < 5; count += 1) begin(session).write(envelope(large, large / 2));
      }
      const client = server.client(name === "gRPC" ? ways.grpc : ways.connectHttp2, "polite");
      const jobs = Array.from({ length: 3 }, () => ({ task: "echo", input: data(new Uint8Array(1_000_000)) }));
      assert.deepEqual(fates((await client.submit({ jobs })).receipts), ["accepted", "accepted", "accepted"]);
      for (const session of sessions) session.destroy();
    });
  }
});
