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
/** Almost all of a large message. */
const sent = large - 100_000;

/** Resolves with the code that the server cuts the stream with. */
function cutOf(stream: ClientHttp2Stream): Promise<number | undefined> {
  return new Promise((resolve) => void stream.once("close", () => resolve(stream.rstCode)));
}

/** Begins twenty large requests and resolves when some were read as far as the budget lets them. */
const attacks = {
  async gRPC({ grpcAddress }: TestServer) {
    const sessions = [1, 2].map(() => dial(grpcAddress));
    const written = sessions.map((session) => {
      const streams = Array.from({ length: 10 }, () => begin(session));
      return Promise.any(
        streams.map(
          (stream) => new Promise<void>((resolve) => void stream.write(envelope(large, sent), () => resolve())),
        ),
      );
    });
    await Promise.all(written);
    return () => sessions.forEach((session) => session.destroy());
  },
  async HTTP({ httpAddress }: TestServer) {
    const sockets = await Promise.all(Array.from({ length: 20 }, () => beginHttp1(httpAddress, large)));
    await Promise.any(
      sockets.map(
        (socket) => new Promise<void>((resolve) => void socket.write(Buffer.alloc(sent, " "), () => resolve())),
      ),
    );
    return () => sockets.forEach((socket) => socket.destroy());
  },
} as const;

describe("while large requests use up the budget and stall", () => {
  let server: TestServer;
  before(async () => {
    server = await openServer({ limits: { requestMiB: 32 }, slowSenderMs: 3_600_000 });
  });
  after(() => server.remove());

  for (const [name, attack] of Object.entries(attacks)) {
    test(`a polite Submit is served, whatever its way, when they came to the ${name} port`, async () => {
      const end = await attack(server);
      for (const way of Object.values(ways) as readonly Way[]) {
        const client = server.client(way, "polite");
        assert.deepEqual(fates((await client.submit({ jobs: [echo("small")] })).receipts), ["accepted"]);
        // a body in chunks of more than 16 KiB needs room for one of any length, and may have to wait for a stalled one
        if (way === ways.connectHttp1) continue;
        const jobs = [{ task: "echo", input: data(new Uint8Array(100_000)) }];
        assert.deepEqual(fates((await client.submit({ jobs })).receipts), ["accepted"]);
      }
      end();
    });
  }
});

describe("a request", () => {
  let server: TestServer;
  before(async () => {
    server = await openServer({ limits: { requestMiB: 32 }, slowSenderMs: 300 });
  });
  after(() => server.remove());

  for (const [what, bytes] of [
    ["sends no byte of its body", Buffer.alloc(0)],
    ["stops within the head of its message", Buffer.alloc(3)],
    ["stops within a small message", envelope(1_000, 500)],
    ["stops within a large message", envelope(large, large / 2)],
    ["sends its message and never ends", envelope(0)],
  ] as const) {
    test(`that ${what} is cut on the gRPC port, and its connection stays`, async () => {
      const session = dial(server.grpcAddress);
      const stream = begin(session);
      if (bytes.length > 0) stream.write(bytes);
      assert.equal(await cutOf(stream), constants.NGHTTP2_ENHANCE_YOUR_CALM);
      assert.equal(session.closed, false);
      session.destroy();
    });

    test(`that ${what} is cut on the HTTP port, with its connection`, async () => {
      const socket = await beginHttp1(server.httpAddress, large, "application/grpc-web");
      if (bytes.length > 0) socket.write(bytes);
      await once(socket, "close");
    });
  }

  test("whose message comes in a huge number of tiny frames is cut on the gRPC port", async () => {
    const session = dial(server.grpcAddress);
    const stream = begin(session);
    stream.write(envelope(10_000, 0));
    const cut = cutOf(stream);
    for (let count = 0; count < 2_000 && !stream.closed; count += 1) {
      await new Promise<void>((resolve) => void stream.write(Buffer.alloc(1), () => resolve())); // a frame of its own
    }
    assert.equal(await cut, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    session.destroy();
  });

  test("whose message comes in a huge number of tiny chunks is cut on the HTTP port", async (t) => {
    const patient = await openServer({ limits: { requestMiB: 32 }, slowSenderMs: 3_600_000 });
    t.after(() => patient.remove());
    const socket = await beginHttp1(patient.httpAddress, "chunked");
    socket.write("1\r\n \r\n".repeat(2_000));
    await once(socket, "close");
  });

  test("of Connect that stops in the middle is cut with its connection", async () => {
    for (const bytes of [0, 100, 1_000_000]) {
      const socket = await beginHttp1(server.httpAddress, large);
      if (bytes > 0) socket.write(Buffer.alloc(bytes, " "));
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

  test("a large request is served that waited for their room on the gRPC port", async () => {
    const sessions = Array.from({ length: 4 }, () => dial(server.grpcAddress));
    for (const session of sessions) {
      for (let count = 0; count < 5; count += 1) begin(session).write(envelope(large, large / 2));
    }
    await assertLargeServed(server, ways.grpc);
    for (const session of sessions) session.destroy();
  });

  test("a large request is served that waited for their room on the HTTP port", async () => {
    const sockets = await Promise.all(Array.from({ length: 20 }, () => beginHttp1(server.httpAddress, large)));
    for (const socket of sockets) socket.write(Buffer.alloc(large / 2, " "));
    await assertLargeServed(server, ways.grpcWeb);
    for (const socket of sockets) socket.destroy();
  });
});

async function assertLargeServed(server: TestServer, way: Way): Promise<void> {
  const jobs = Array.from({ length: 3 }, () => ({ task: "echo", input: data(new Uint8Array(1_000_000)) }));
  const { receipts } = await server.client(way, "polite").submit({ jobs });
  assert.deepEqual(fates(receipts), ["accepted", "accepted", "accepted"]);
}
