/** How the one request of a call on the HTTP port is read, and what Connect gets in its place. */
import assert from "node:assert/strict";
import { buffer } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { create, createRegistry, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { array, assert as check, asyncProperty, nat } from "fast-check";
import type { MillpondError } from "../../src/errors.ts";
import { GetJobRequestSchema } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { envelope } from "../../src/rpc/envelopes.ts";
import { readRequest } from "../../src/rpc/http-request.ts";
import { openServer } from "./fixtures.ts";

const request = create(GetJobRequestSchema, { jobId: "an id" });
const json = Buffer.from(toJsonString(GetJobRequestSchema, request));
const binary = Buffer.from(toBinary(GetJobRequestSchema, request));
const maxBytes = 1_000;

/** Reads a body that comes in these pieces: what was decoded, what Connect gets, and with which headers. */
async function read(headers: { readonly [name: string]: string }, pieces: readonly Uint8Array[]) {
  const header = new Headers(headers);
  let pulled = 0;
  async function* body(): AsyncGenerator<Uint8Array> {
    for (const piece of pieces) {
      pulled += 1;
      yield piece;
    }
  }
  const messages: Message[] = [];
  const bounds = { maxValues: 4, types: createRegistry() };
  const options = {
    type: GetJobRequestSchema,
    bounds,
    maxBytes,
    onMessage: (each: Message) => void messages.push(each),
  };
  try {
    const forConnect = await buffer(readRequest(header, body(), options));
    return { messages, forConnect, header, pulled: () => pulled, refused: undefined };
  } catch (error) {
    return { messages, header, pulled: () => pulled, refused: error as MillpondError };
  }
}

const compressed = (message: Uint8Array) => {
  const whole = envelope(0, gzipSync(message));
  whole[0] = 1;
  return whole;
};

test("an encoding that another protocol names says nothing of this body", async () => {
  const stray = { "content-type": "application/json", "grpc-encoding": "gzip", "connect-content-encoding": "gzip" };
  const { messages, refused } = await read(stray, [json]);
  assert.equal(refused, undefined);
  assert.deepEqual(messages, [request]);
});

const forms = {
  "unary JSON": [{ "content-type": "application/json" }, json, Buffer.from("{}")],
  "unary bytes": [{ "content-type": "application/proto" }, binary, Buffer.alloc(0)],
  "unary JSON in gzip": [
    { "content-type": "application/json", "content-encoding": "gzip" },
    gzipSync(json),
    Buffer.from("{}"),
  ],
  "a stream's JSON": [
    { "content-type": "application/connect+json" },
    envelope(0, json),
    envelope(0, Buffer.from("{}")),
  ],
  "gRPC-Web": [{ "content-type": "application/grpc-web+proto" }, envelope(0, binary), envelope(0)],
  "gRPC-Web in gzip": [
    { "content-type": "application/grpc-web", "grpc-encoding": "gzip" },
    compressed(binary),
    envelope(0),
  ],
  "a stream's bytes in gzip": [
    { "content-type": "application/connect+proto", "connect-content-encoding": "gzip" },
    compressed(binary),
    envelope(0),
  ],
} as const;

describe("a request", () => {
  for (const [form, [headers, bytes, empty]] of Object.entries(forms)) {
    test(`is read however its body is cut, and Connect gets an empty one: ${form}`, async () => {
      const property = asyncProperty(array(nat(bytes.length), { maxLength: 6 }), async (cuts) => {
        const ends = [...cuts.toSorted((one, other) => one - other), bytes.length];
        const pieces = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
        const { messages, forConnect, header } = await read(
          { ...headers, "content-length": `${bytes.length}` },
          pieces,
        );
        assert.deepEqual(messages, [request]);
        assert.deepEqual(forConnect, empty);
        assert.deepEqual([header.get("content-length"), header.get("content-encoding")], [null, null]);
      });
      await check(property, { numRuns: 50 });
    });
  }

  const unary = { "content-type": "application/proto" };
  const enveloped = { "content-type": "application/grpc-web" };
  const half = Buffer.alloc(maxBytes / 2 + 1);
  for (const [what, headers, pieces, pulled] of [
    ["says so in its head", { ...unary, "content-length": `${maxBytes + 1}` }, [half], 0],
    ["is found to be so", unary, [half, half, half], 2],
    ["says so in its envelope", enveloped, [envelope(0, Buffer.alloc(maxBytes + 1)), half], 1],
    ["is so when it is inflated", { ...unary, "content-encoding": "gzip" }, [gzipSync(Buffer.alloc(1e6))], 1],
    [
      "is so when its envelope is inflated",
      { ...enveloped, "grpc-encoding": "gzip" },
      [compressed(Buffer.alloc(1e6))],
      1,
    ],
  ] as const) {
    test(`larger than a message may be is refused, and read no further: it ${what}`, async () => {
      const {
        refused,
        messages,
        pulled: count,
      } = await read(
        headers,
        pieces.filter(({ length }) => length > 0),
      );
      assert.deepEqual([refused?.reason, messages, count()], ["message_too_large", [], pulled]);
      assert.match(refused?.message ?? "", /^the request has more than 1000 bytes: .* limits\.messageBytes$/);
    });
  }

  test("with too many values, or that is not this message, is refused", async () => {
    for (const [headers, wrap] of [
      [unary, (bytes: Buffer) => bytes],
      [enveloped, (bytes: Buffer) => envelope(0, bytes)],
    ] as const) {
      const many = Buffer.concat(Array<Buffer>(5).fill(binary));
      assert.equal((await read(headers, [wrap(many)])).refused?.reason, "too_many_values");
      assert.equal((await read(headers, [wrap(Buffer.from([0xff, 0xff]))])).refused?.reason, "malformed_request");
    }
  });

  for (const [what, pieces] of [
    ["no message", []],
    ["half a head", [Buffer.alloc(3)]],
    ["half a message", [envelope(0, binary).subarray(0, 8)]],
    ["a compressed message without an encoding", [compressed(binary)]],
  ] as const) {
    test(`of ${what} goes to Connect as it is, which refuses it`, async () => {
      const { messages, forConnect } = await read(enveloped, pieces);
      assert.deepEqual([messages, forConnect], [[], Buffer.concat(pieces)]);
    });
  }
});

describe("a server", async () => {
  const server = await openServer();
  after(() => server.remove());

  /** The status of a call of gRPC-Web, which is in its body or, without one, in its head. */
  async function statusOf(body: Uint8Array<ArrayBuffer>): Promise<string | undefined> {
    const headers = { "content-type": "application/grpc-web+json" };
    const url = `http://${server.httpAddress}/millpond.v1.WorkerPoolService/ListJobs`;
    const response = await fetch(url, { method: "POST", headers, body });
    return response.headers.get("grpc-status") ?? /grpc-status: (\d+)/.exec(await response.text())?.[1];
  }

  test("takes one message, and refuses none, half of one, and more", async () => {
    const one = Buffer.from(envelope(0, Buffer.from("{}")));
    const [ok, unimplemented, invalid] = ["0", "12", "3"];
    assert.equal(await statusOf(one), ok);
    assert.equal(await statusOf(Buffer.alloc(0)), unimplemented);
    assert.equal(await statusOf(Buffer.concat([one, one])), unimplemented);
    assert.equal(await statusOf(one.subarray(0, 6)), invalid);
    assert.equal(await statusOf(Buffer.concat([Buffer.from([1]), one.subarray(1)])), "13");
  });

  test("says where what HTTP/1.1 cannot carry is served, and native gRPC", async () => {
    const call = async (method: string, type: string) => {
      const url = `http://${server.httpAddress}/millpond.v1.WorkerPoolService/${method}`;
      const response = await fetch(url, { method: "POST", headers: { "content-type": type }, body: "{}" });
      return [response.status, ((await response.json()) as { message: string }).message] as const;
    };
    for (const [method, type, status] of [
      ["Exchange", "application/connect+json", 505],
      ["Submit", "application/grpc", 415],
    ] as const) {
      const [answered, message] = await call(method, type);
      assert.equal(answered, status);
      assert.ok(
        message.endsWith(`gRPC is on ${server.grpcAddress}`) || message.endsWith(`use gRPC on ${server.grpcAddress}`),
      );
    }
  });
});
