/** Streams of reflection that nobody polite opens: they cost their own connection, and others are served. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test, type TestContext } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ServerReflectionRequestSchema } from "../../../src/gen/grpc/reflection/v1/reflection_pb.ts";
import { openServer, type TestServer, ways } from "../fixtures.ts";

type Asked = NonNullable<MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"]>;

/** As gRPC frames it. */
function framed(messageRequest: Asked): Buffer {
  const bytes = toBinary(ServerReflectionRequestSchema, create(ServerReflectionRequestSchema, { messageRequest }));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

const everything = framed({ case: "fileContainingSymbol", value: "millpond.v1.WorkerPoolService" });

function dial(t: TestContext, address: string): ClientHttp2Session {
  const session = connect(`http://${address}`);
  session.on("error", () => undefined);
  t.after(() => session.destroy());
  return session;
}

function openStream(session: ClientHttp2Session): ClientHttp2Stream {
  const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
  });
  return stream.on("error", () => undefined);
}

/** How many messages these bytes are. */
function countMessages(bytes: Buffer): number {
  let count = 0;
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt32BE(at + 1)) count += 1;
  return count;
}

async function assertServes(server: TestServer): Promise<void> {
  for (const way of [ways.grpc, ways.connectHttp1]) assert.ok((await server.client(way).stats({})).snapshot, way.name);
}

describe("a server", () => {
  let server: TestServer;
  before(async () => {
    server = await openServer();
  });
  after(() => server?.remove());

  test("a stream that asks without end and reads nothing is slowed down, and cut", async (t) => {
    const impatient = await openServer({ slowReaderMs: 500 });
    t.after(() => impatient.remove());
    const session = dial(t, impatient.grpcAddress);
    const stream = openStream(session);
    let writes = 0;
    let isCut = false;
    const cut = new Promise<void>((resolve) => {
      stream.once("close", () => {
        isCut = true; // with an error or without: what was on its way may meet a connection that is gone
        resolve();
      });
    });
    const burst = Buffer.concat(Array<Buffer>(100).fill(everything));
    while (!isCut) {
      writes += 1;
      if (!stream.write(burst)) await Promise.race([once(stream, "drain").catch(() => undefined), cut]);
    }
    const asked = writes * 100;
    assert.ok(asked < 10_000, `${asked} requests went out before flow control held them up`);
    await assertServes(impatient);
  });

  test("many streams with many requests each get every answer, and polite calls are served meanwhile", async (t) => {
    const [streams, requests] = [40, 100];
    const session = dial(t, server.grpcAddress);
    const answers = Array.from({ length: streams }, () => {
      const stream = openStream(session);
      stream.end(Buffer.concat(Array<Buffer>(requests).fill(everything)));
      return buffer(stream);
    });
    await assertServes(server);
    for (const bytes of await Promise.all(answers)) assert.equal(countMessages(bytes), requests);
  });

  test("a name of megabytes is refused, and costs nobody else", async (t) => {
    const stream = openStream(dial(t, server.grpcAddress));
    stream.end(framed({ case: "fileContainingSymbol", value: "x".repeat(3_000_000) }));
    const [headers] = await once(stream, "response");
    assert.equal(headers["grpc-status"], "3");
    assert.match(decodeURIComponent(headers["grpc-message"]), /^file_containing_symbol: has 3000000 characters/);
    await assertServes(server);
  });

  test("streams that stay open hold up no stop: they end in order", async (t) => {
    const session = dial(t, server.grpcAddress);
    const streams = Array.from({ length: 10 }, () => openStream(session));
    for (const stream of streams) stream.write(everything);
    await Promise.all(streams.map((stream) => once(stream, "data")));
    const ends = streams.map(async (stream) => {
      const [trailers] = await once(stream.resume(), "trailers");
      return trailers["grpc-status"];
    });
    await server.stop();
    assert.deepEqual(await Promise.all(ends), Array(10).fill("0"));
  });
});
