/** What clients of gRPC do that know nothing of Millpond: compress, retry by a policy, set any deadline. */
import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { IncomingHttpHeaders } from "node:http2";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { after, describe, test, type TestContext } from "node:test";
import {
  type DescMethod,
  type MessageInitShape,
  type MessageShape,
  create,
  fromBinary,
  toBinary,
} from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Client, type ClientOptions, credentials, Metadata, type ServiceError, status as codes } from "@grpc/grpc-js";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../src/gen/google/rpc/status_pb.ts";
import { WorkerPoolService } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { openServer } from "./fixtures.ts";
import { echo, fates, json } from "./jobs.ts";
import { post } from "./http2.ts";
import { endStream } from "./raw.ts";

const { submit, stats } = WorkerPoolService.method;
const path = ({ parent, name }: DescMethod) => `/${parent.typeName}/${name}`;
const compress = promisify(gzip);

const onePerSecond = { perSecond: 1, burst: 1 };
const server = await openServer({
  limits: { messageBytes: 262_144, inputBytes: 200_000, values: 1000 },
  rate: { clients: { paced: onePerSecond } },
});
after(() => server.remove());

/** A client as grpc-js makes it, and one unary call of it. */
function stock(t: TestContext, options: ClientOptions = {}) {
  const client = new Client(server.grpcAddress, credentials.createInsecure(), options);
  t.after(() => client.close());
  return function call<M extends DescMethod>(
    method: M,
    request: MessageInitShape<M["input"]>,
    { name = "stock", deadlineMs = 30_000 } = {},
  ): Promise<MessageShape<M["output"]>> {
    const metadata = new Metadata();
    metadata.set("millpond-client", name);
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        path(method),
        (message: MessageShape<M["input"]>) => Buffer.from(toBinary(method.input, message)),
        (bytes: Buffer) => fromBinary(method.output, bytes) as MessageShape<M["output"]>,
        create(method.input, request) as MessageShape<M["input"]>,
        metadata,
        { deadline: Date.now() + deadlineMs },
        (error, answer) => (error ? reject(error) : resolve(answer as MessageShape<M["output"]>)),
      );
    });
  };
}

/** Why a call failed, by its details. */
async function failureOf(
  call: Promise<unknown>,
): Promise<{ readonly code: string; readonly reason: string; readonly message: string }> {
  const error = (await call.then(
    () => assert.fail("the call succeeded"),
    (thrown: unknown) => thrown,
  )) as ServiceError;
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  const [detail] = bytes ? fromBinary(StatusSchema, bytes as Buffer).details : [];
  const reason = detail ? (anyUnpack(detail, ErrorInfoSchema)?.reason ?? "") : "";
  return { code: codes[error.code], reason, message: error.details };
}

/** How many requests a method gets from this client while `work` goes on. */
async function countRequests(method: DescMethod, name: string, work: () => Promise<unknown>): Promise<number> {
  let count = 0;
  const onCreated = (published: unknown) => {
    const given = (published as { readonly headers: IncomingHttpHeaders }).headers;
    if (given[":path"] === path(method) && given["millpond-client"] === name) count += 1;
  };
  subscribe("http2.server.stream.created", onCreated);
  try {
    await work();
  } finally {
    unsubscribe("http2.server.stream.created", onCreated);
  }
  return count;
}

/** A policy that a careless user would write: every refusal is tried again. */
const retrying: ClientOptions = {
  "grpc.service_config": JSON.stringify({
    methodConfig: [
      {
        name: [{}],
        retryPolicy: {
          maxAttempts: 5,
          initialBackoff: "0.01s",
          maxBackoff: "0.01s",
          backoffMultiplier: 1,
          retryableStatusCodes: ["RESOURCE_EXHAUSTED", "UNAVAILABLE", "INVALID_ARGUMENT"],
        },
      },
    ],
  }),
};

describe("a stock client", () => {
  const http = (
    fields: { readonly [name: string]: string },
    body: string | Buffer = "\0\0\0\0\0",
    method: DescMethod = stats,
  ) => post(server.grpcAddress, { ":path": path(method), te: "trailers", ...fields }, body);
  const grpc = { "content-type": "application/grpc" };

  test("may send its requests in gzip", async (t) => {
    const call = stock(t, { "grpc.default_compression_algorithm": 2 });
    const { receipts } = await call(submit, { jobs: [{ task: "echo", input: json("x".repeat(100_000)) }] });
    assert.deepEqual(fates(receipts), ["accepted"]);
  });

  test("is held to the same bounds in gzip: bytes after inflating, and values", async (t) => {
    const call = stock(t, { "grpc.default_compression_algorithm": 2 });
    const large = await failureOf(call(submit, { jobs: [{ task: "echo", input: json("x".repeat(300_000)) }] }));
    assert.equal(large.code, "RESOURCE_EXHAUSTED");
    assert.match(large.message, /262144/);
    const many = await failureOf(call(submit, { jobs: [{ task: "echo", input: json(Array(2000).fill(1)) }] }));
    assert.equal(many.reason, "too_many_values");
    const bomb = Buffer.concat([Buffer.from([1, 0, 0, 0, 0]), await compress(Buffer.alloc(50_000_000))]);
    bomb.writeUInt32BE(bomb.length - 5, 1);
    const answer = await http({ ...grpc, "grpc-encoding": "gzip" }, bomb, submit);
    assert.equal(answer.headers["grpc-status"], String(codes.RESOURCE_EXHAUSTED));
  });

  test("that compresses in another way is told so", async () => {
    const { headers } = await http({ ...grpc, "grpc-encoding": "br" }, "\x01\0\0\0\x01x");
    assert.equal(headers["grpc-status"], String(codes.UNIMPLEMENTED));
    assert.match(String(headers["grpc-message"]), /br/);
  });

  for (const timeout of ["600H", "99999999H", "2160000S"]) {
    test(`may set a deadline of ${timeout}`, async () => {
      const answer = await http({ ...grpc, "grpc-timeout": timeout });
      assert.equal(answer.trailers["grpc-status"], "0");
    });
  }

  test("learns that a deadline cannot be read", async () => {
    const { headers } = await http({ ...grpc, "grpc-timeout": "soon" });
    assert.equal(headers["grpc-status"], String(codes.INVALID_ARGUMENT));
    assert.match(String(headers["grpc-message"]), /grpc-timeout/);
  });

  test("gets an error in one frame, head and end, for its retry policy ends with the head", async () => {
    for (const method of [submit, WorkerPoolService.method.results, WorkerPoolService.method.exchange]) {
      const answer = await http({ ...grpc, "millpond-client": "no name" }, "\0\0\0\0\0", method);
      assert.notEqual(answer.headers["grpc-status"] ?? "0", "0", method.name);
      assert.equal(answer.flags & endStream, endStream, method.name);
    }
  });

  test("takes every error whole, for it fits into the 8 KiB of metadata that clients of Java and Python allow", async () => {
    const jobIds = Array.from({ length: 100 }, (_, index) => `${"\u{1F600}".repeat(100)}${index}`);
    const { deleteJobs } = WorkerPoolService.method;
    const message = toBinary(deleteJobs.input, create(deleteJobs.input, { jobIds }));
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    const { headers } = await http(grpc, Buffer.concat([head, message]), deleteJobs);
    assert.match(decodeURIComponent(String(headers["grpc-message"])), /^job_ids\[0\]: .*\.\.\.$/);
    const bytes = Object.entries(headers).reduce(
      (sum, [name, value]) => sum + name.length + String(value).length + 32,
      0,
    );
    assert.ok(bytes > 4_000 && bytes < 8_192, `${bytes} bytes`);
  });

  test("with a retry policy comes back when it is told to, and is served", async (t) => {
    const call = stock(t, retrying);
    const name = "paced";
    const count = await countRequests(submit, name, async () => {
      const calls = [1, 2].map((each) => call(submit, { jobs: [echo(each)] }, { name }));
      for (const { receipts } of await Promise.all(calls)) assert.deepEqual(fates(receipts), ["accepted"]);
    });
    assert.ok(count > 2, "the rate allows one job at once: the other is refused first");
  });

  test("with a retry policy does not repeat what can never succeed", async (t) => {
    const call = stock(t, retrying);
    const name = "paced";
    const count = await countRequests(submit, name, async () => {
      const { code, reason } = await failureOf(call(submit, { jobs: [echo(1), echo(2)] }, { name }));
      assert.deepEqual([code, reason], ["RESOURCE_EXHAUSTED", "over_burst"]);
    });
    assert.equal(count, 1);
  });

  test("that speaks gRPC-Web as text, or something else, learns what is spoken", async () => {
    for (const type of ["application/grpc-web-text", "text/plain", "application/grpc+thrift"]) {
      const { headers, body } = await http({ "content-type": type });
      const text = body || decodeURIComponent(String(headers["grpc-message"]));
      assert.ok(text.replaceAll("\\", "").includes(`content type "${type}" is not served here: `), text);
      assert.match(text, /application\/grpc/);
    }
  });
});

test("the gRPC port refuses gRPC-Web by its content type, in the form that its clients read", async () => {
  const type = "application/grpc-web+proto";
  const { headers } = await post(server.grpcAddress, { ":path": path(stats), "content-type": type }, "\0\0\0\0\0");
  assert.deepEqual([headers["content-type"], headers["grpc-status"]], [type, String(codes.INVALID_ARGUMENT)]);
  assert.ok(decodeURIComponent(String(headers["grpc-message"])).endsWith(`gRPC-Web are on ${server.httpAddress}`));
});
