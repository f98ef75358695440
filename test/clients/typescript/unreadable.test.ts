/** What answers sends bytes that are no message of this protocol: neither a broken connection nor worth another try. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerWritableStream,
} from "@grpc/grpc-js";
import { connect, createConnection, type MillpondClientError } from "../../../clients/typescript/index.ts";
import type { JsonValue } from "../../../src/job/job.ts";
import { GetJobResponseSchema, WorkerPoolService } from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import { json } from "../../rpc/jobs.ts";

/** A server that answers every call with these bytes, and the number of its calls. */
async function startRaw(t: TestContext, answer: Uint8Array) {
  let calls = 0;
  const { getJob, watchJob, exchange } = WorkerPoolService.method;
  const bytes = (given: Buffer) => given;
  const definition = [getJob, watchJob, exchange].map((method) => [
    method.localName,
    {
      path: `/${WorkerPoolService.typeName}/${method.name}`,
      requestStream: method.methodKind === "bidi_streaming",
      responseStream: method.methodKind !== "unary",
      ...{ requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes },
    },
  ]);
  const stream = (call: ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>) => {
    calls += 1;
    call.write(Buffer.from(answer));
  };
  const unary: handleUnaryCall<Buffer, Buffer> = (_call, callback) => {
    calls += 1;
    callback(null, Buffer.from(answer));
  };
  const server = new Server();
  server.addService(Object.fromEntries(definition), { getJob: unary, watchJob: stream, exchange: stream });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  t.after(() => server.forceShutdown());
  return { address: `127.0.0.1:${port}`, calls: () => calls };
}

const unreadable = (error: MillpondClientError) => {
  assert.deepEqual([error.reason, error.codeName], ["unreadable_response", "INTERNAL"]);
  assert.match(error.message, /^the millpond\.v1\.\w+ from 127\.0\.0\.1:\d+ cannot be decoded: .*: check that/);
  return true;
};

test("a response that cannot be decoded has a reason of its own, and is not asked for again", async (t) => {
  const server = await startRaw(t, new Uint8Array([0x0a, 0x7f, 0x01]));
  const client = connect({ address: server.address });
  t.after(() => client.close());
  await assert.rejects(client.getJob("x"), unreadable);
  await assert.rejects(async () => {
    for await (const _ of client.watch("x")) continue;
  }, unreadable);
  assert.equal(server.calls(), 2);

  const connection = createConnection({ address: server.address, keepaliveMs: 0 });
  t.after(() => connection.close());
  const ended = await new Promise<MillpondClientError | undefined>((resolve) => {
    connection.exchange({ onResponse: () => assert.fail("it was read"), onDrain() {}, onEnd: resolve });
  });
  assert.ok(ended && unreadable(ended));
});

test("a job is shown whose input is nested deeper than protobuf's decoders go by themselves", async (t) => {
  const deep = (levels: number): JsonValue => (levels === 0 ? "end" : { nested: deep(levels - 1) });
  const response = create(GetJobResponseSchema, { job: { id: "x", input: json(deep(60)) } });
  const bytes = toBinary(GetJobResponseSchema, response);
  assert.throws(() => fromBinary(GetJobResponseSchema, bytes), /recursion depth/);
  const server = await startRaw(t, bytes);
  const client = connect({ address: server.address });
  t.after(() => client.close());
  assert.deepEqual((await client.getJob("x")).input, deep(60));
});
