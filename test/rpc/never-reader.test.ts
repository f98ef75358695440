/** Clients that ask for results and never read them: they hold little, and are cut before long. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import { connect as connectSocket, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { toBinary, create } from "@bufbuild/protobuf";
import { ResultsRequestSchema } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { openServer, type TestServer, ways } from "./fixtures.ts";
import { follow, json, present } from "./jobs.ts";
import { until } from "../support/until.ts";

const channel = "unread";
/** More than the buffers of a connection take. */
const results = 20;
const blobBytes = 2_000_000;

/** As gRPC frames it. */
function framed(stopAtEnd: boolean): Buffer {
  const bytes = toBinary(ResultsRequestSchema, create(ResultsRequestSchema, { channel, stopAtEnd }));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

function open(session: ClientHttp2Session, stopAtEnd = false) {
  const headers = { ":method": "POST", ":path": "/millpond.v1.WorkerPoolService/Results" };
  const stream = session.request({ ...headers, "content-type": "application/grpc", te: "trailers" });
  stream.on("error", () => undefined);
  stream.end(framed(stopAtEnd)); // and nobody reads
  return stream;
}

describe("a client that never reads", () => {
  let server: TestServer;
  before(async () => {
    server = await openServer({ slowReaderMs: 2_000 }); // so long that a busy machine makes no reader slow that does read
    const own = server.client(ways.grpc);
    const jobs = Array.from({ length: results }, () => ({ task: "blob", input: json({ bytes: blobBytes }), channel }));
    await own.submit({ jobs });
    await follow(own, { channel }, results);
  });
  after(() => server.remove());

  function dial(address: string): ClientHttp2Session {
    const session = connect(`http://${address}`);
    session.on("error", () => undefined);
    return session;
  }

  /** Resolves once the server has cut every stream that is open now: this asks the server, for the streams are not read. */
  async function readersEnded(): Promise<void> {
    await until(async () => {
      const metrics = await (await fetch(`http://${server.httpAddress}/metrics`)).text();
      const [, readers] = /^millpond_result_readers(?:\{.*\})? (\d+)$/m.exec(metrics) ?? [];
      assert.ok(readers !== undefined, metrics);
      return Number(readers) === 0;
    });
  }

  /** A call of gRPC-Web whose answer has begun, and is not read. */
  async function openHttp1(stopAtEnd: boolean): Promise<Socket> {
    const [host, port] = server.httpAddress.split(":");
    const socket = connectSocket({ host, port: Number(port) });
    socket.on("error", () => undefined);
    const body = framed(stopAtEnd);
    const head = [
      "POST /millpond.v1.WorkerPoolService/Results HTTP/1.1",
      "host: localhost",
      "content-type: application/grpc-web+proto",
      `content-length: ${body.length}`,
    ];
    socket.write(`${head.join("\r\n")}\r\n\r\n`);
    socket.write(body);
    await once(socket, "readable");
    return socket;
  }

  describe("at the same time as others that do not", { concurrency: true }, () => {
    for (const stopAtEnd of [true, false]) {
      test(`over gRPC is cut with its connection, ${stopAtEnd ? "when it asked for what is there" : "when it follows"}`, async () => {
        const session = dial(server.grpcAddress);
        open(session, stopAtEnd);
        await once(session, "close");
      });
    }

    for (const stopAtEnd of [true, false]) {
      test(`over HTTP/1.1 is cut with its connection, ${stopAtEnd ? "when it asked for what is there" : "when it follows"}`, async () => {
        const unread = await openHttp1(stopAtEnd);
        await readersEnded(); // whoever reads before that is a client that reads
        let bytes = 0;
        for await (const chunk of unread) bytes += (chunk as Buffer).length;
        assert.ok(bytes > 0 && bytes < results * blobBytes, `${bytes} bytes came`);
      });
    }
  });

  test("gives its place free, and others are served meanwhile", async () => {
    for (let round = 0; round < 2; round += 1) {
      const sessions = Array.from({ length: 8 }, () => dial(server.grpcAddress));
      for (const session of sessions) open(session);
      await Promise.all(sessions.map((session) => once(session, "close")));
    }
    assert.equal((await present(server.client(ways.grpc), { channel })).length, results);
  });
});
