/**
 * Whatever comes over the network, the server goes on: nothing that a handler of a connection, request or stream throws
 * may end the process. An error that nobody catches fails the test here, for the server runs in this process.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  assert as check,
  asyncProperty,
  array,
  constantFrom,
  integer,
  oneof,
  record,
  tuple,
  uint8Array,
} from "fast-check";
import { refused } from "./refused.ts";
import { openServer, type TestServer, ways } from "./fixtures.ts";
import {
  endHeaders,
  endStream,
  frame,
  frameTypes,
  type Header,
  headers,
  portOf,
  preface,
  rstStream,
  sendAndReset,
  sendRaw,
  session,
} from "./raw.ts";

const stats = "/millpond.v1.WorkerPoolService/Stats";
const paths = [stats, "/millpond.v1.WorkerPoolService/Results", "/millpond.v1.WorkerPoolService/Exchange", "/nope"];

let server: TestServer;
let ports: { readonly gRPC: number; readonly HTTP: number };
before(async () => {
  server = await openServer();
  ports = { gRPC: portOf(server.grpcAddress), HTTP: portOf(server.httpAddress) };
});
after(() => server.remove());

/** A polite call on each port. */
async function assertServes(): Promise<void> {
  for (const way of [ways.grpc, ways.connectHttp1]) {
    assert.ok((await server.client(way).stats({})).snapshot, way.name);
  }
}

const names = ["gRPC", "HTTP"] as const;

/** A request of HTTP/2 with some fields replaced; null: left out. */
function fields(given: { readonly [name: string]: string | null }): Header[] {
  const polite = { ":method": "POST", ":scheme": "http", ":authority": "localhost", ":path": stats };
  const all = { ...polite, "content-type": "application/grpc", te: "trailers", ...given };
  return Object.entries(all).filter((field): field is [string, string] => field[1] !== null);
}

const badHosts = [
  "[",
  "",
  "a b",
  "%zz",
  "x:99999999",
  "x:",
  "@",
  "a@b",
  "http://x",
  "::1",
  "[::1",
  "x?y",
  "x#y",
  "x\\y",
  "\x80",
];
const post = (host: string | undefined, version = "1.1") =>
  `POST ${stats} HTTP/${version}\r\n${host === undefined ? "" : `Host: ${host}\r\n`}` +
  "content-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

describe("a Host that is none", () => {
  for (const host of badHosts) {
    test(`is answered 400 over HTTP/1.1 and HTTP/2, and the server goes on: ${JSON.stringify(host)}`, async () => {
      assert.match(await sendRaw(ports.HTTP, post(host)), /^HTTP\/1\.1 400 /);
      for (const name of names) {
        await sendRaw(ports[name], session(headers(fields({ ":authority": host }), endHeaders | endStream)));
        await sendRaw(ports[name], session(headers(fields({ ":authority": null, host }), endHeaders | endStream)));
      }
      await assertServes();
    });
  }

  test("says what is wrong", async () => {
    const answer = await sendRaw(ports.HTTP, post("["));
    assert.match(
      answer,
      /"code":"invalid_argument","message":"the request cannot be read: Host \\"\[\\": it must be a host name/,
    );
  });

  test("may be missing in HTTP/1.0 for a probe of /healthz, and for nothing else", async () => {
    assert.match(await sendRaw(ports.HTTP, post(undefined, "1.0")), /^HTTP\/1\.1 400 /);
    assert.match(await sendRaw(ports.HTTP, "GET /healthz HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 200 /);
    await assertServes();
  });
});

describe("what HTTP/1.1 offers beside requests", () => {
  const targets = [
    "CONNECT localhost:80",
    "OPTIONS *",
    "TRACE /",
    "HEAD /healthz",
    "GET http://[/",
    "GET http://localhost/healthz",
    "GET //healthz",
    `POST ${stats}?x=[`,
    `GET ${stats}?connect=v1&encoding=json&message=%zz&base64=1`,
    "GET \x80",
  ];
  const extras = [
    "",
    "Upgrade: websocket\r\nConnection: Upgrade\r\n",
    "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    "Expect: 100-continue\r\n",
    "Expect: the unexpected\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: x\r\nContent-Length: 4\r\n",
    "Content-Length: -1\r\n",
    `x-large: ${"x".repeat(50_000)}\r\n`,
  ];
  for (const target of targets) {
    test(`ends no server: ${JSON.stringify(target)}`, async () => {
      for (const extra of extras) {
        const bytes = `${target} HTTP/1.1\r\nHost: localhost\r\n${extra}\r\n`;
        await Promise.all(names.flatMap((name) => [sendRaw(ports[name], bytes), sendAndReset(ports[name], bytes)]));
      }
      await assertServes();
    });
  }

  for (const type of [
    "",
    "application/grpc",
    "application/grpc-web+proto",
    "application/connect+json",
    "text/plain",
    "\x80",
  ]) {
    for (const encoding of ["identity", "gzip", "br", "\x80"]) {
      test(`ends no server: a body of "${type}" in ${JSON.stringify(encoding)} that is none`, async () => {
        const head = `POST ${stats} HTTP/1.1\r\nHost: localhost\r\ncontent-type: ${type}\r\n`;
        const encodings = ["content", "grpc", "connect-content"]
          .map((each) => `${each}-encoding: ${encoding}\r\n`)
          .join("");
        await sendRaw(ports.HTTP, `${head}${encodings}content-length: 8\r\n\r\n\x01\0\0\0\x03abc`);
        await assertServes();
      });
    }
  }
});

/** Requests that HTTP/2 can express, from polite to absurd. */
const requests: { readonly [what: string]: { readonly [name: string]: string | null } } = {
  "a good request": {},
  "a content type that is not gRPC": { "content-type": "text/plain" },
  "no content type": { "content-type": null },
  "gRPC-Web": { "content-type": "application/grpc-web+proto" },
  "a path that does not exist": { ":path": "/nope" },
  "no path": { ":path": null },
  "a path of bytes": { ":path": "/\x80\xff" },
  CONNECT: { ":method": "CONNECT", ":path": null, ":scheme": null },
  HEAD: { ":method": "HEAD" },
  GET: { ":method": "GET" },
  "/healthz": { ":method": "GET", ":path": "/healthz" },
  "the front page": { ":method": "GET", ":path": "/", accept: "text/html" },
  "no authority": { ":authority": null },
  "Expect: 100-continue": { expect: "100-continue" },
  "another expectation": { expect: "the unexpected" },
  "an upgrade": { ":protocol": "websocket" },
  "a deadline of centuries": { "grpc-timeout": "99999999H" },
  "a deadline that is none": { "grpc-timeout": "soon" },
  "a deadline that has passed": { "grpc-timeout": "1n" },
  "an encoding that is none": { "grpc-encoding": "\x80" },
  "a name of bytes": { "millpond-client": "\xff\xfe" },
  "metadata that is no base64": { "x-bin": "!!!" },
  "a stream of results": { ":path": "/millpond.v1.WorkerPoolService/Results" },
  "an exchange": { ":path": "/millpond.v1.WorkerPoolService/Exchange" },
  reflection: { ":path": "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo" },
  JSON: { "content-type": "application/json" },
};

const data = (payload: string, flags: number = endStream) => frame(frameTypes.data, flags, 1, payload);
/** How such a request goes on: in the packet of its head. */
const endings: readonly (readonly Buffer[])[] = [
  [data("\0\0\0\0\0")],
  [data("\x01\0\0\0\x03abc")],
  [data("\0\xff\xff\xff\xff")],
  [data("\x80\0\0\0\x01a")],
  [data("\0\0\0\0\0", 0), data("\0\0\0\0\0")],
  [data("\0\0\0\0\0", 0), headers([["x", "y"]], endHeaders | endStream)],
  [data("\0\0")],
  [data("\0\0\0\0\0"), frame(frameTypes.goaway, 0, 0, "\0".repeat(8))],
  [data("\0\0\0\0\0"), frame(frameTypes.settings, 0, 0, "x")],
  ...[0, 1, 2, 7, 8, 11].flatMap((code) => [[rstStream(code)], [data("\0\0\0\0\0"), rstStream(code)]]),
];

describe("a request of HTTP/2", () => {
  for (const [what, given] of Object.entries(requests)) {
    test(`ends no server, however it is reset or broken: ${what}`, async () => {
      for (const name of names) {
        const bytes = [
          session(headers(fields(given), endHeaders | endStream)),
          session(headers(fields(given), endHeaders | endStream), rstStream(8)),
          ...endings.map((ending) => session(headers(fields(given)), ...ending)),
        ];
        await Promise.all(bytes.flatMap((each) => [sendRaw(ports[name], each), sendAndReset(ports[name], each)]));
      }
      await assertServes();
    });
  }
});

test("text that a refusal quotes and cuts in the middle of a character ends no server", async () => {
  const halves = ["\u{1F600}".repeat(90), `a${"\u{1F600}".repeat(90)}`];
  for (const way of Object.values(ways)) {
    const client = server.client(way);
    for (const text of halves) {
      assert.equal((await refused(client.submit({ jobs: [{ task: text }] }))).reason, "unknown_task");
      await refused(client.submit({ jobs: [{ task: "echo", labels: { [text]: text.repeat(4) } }] }));
      await refused(client.getJob({ jobId: text }));
    }
  }
  await assertServes();
});

describe("frames of any kind", () => {
  for (const start of [
    "",
    preface.slice(0, 10),
    `${preface}garbage`,
    "\x16\x03\x01\0\0",
    `${preface}${"\xff".repeat(100)}`,
  ]) {
    test(`end no server: ${JSON.stringify(start)}`, async () => {
      await Promise.all(names.flatMap((name) => [sendRaw(ports[name], start), sendAndReset(ports[name], start)]));
      await assertServes();
    });
  }

  const anyFrame = record({
    type: integer({ min: 0, max: 17 }),
    flags: integer({ min: 0, max: 255 }),
    stream: constantFrom(0, 1, 2, 3, 2 ** 31 - 1),
    payload: uint8Array({ maxLength: 64 }),
  }).map(({ type, flags, stream, payload }) => frame(type, flags, stream, Buffer.from(payload)));
  const anyRequest = tuple(
    constantFrom(...Object.values(requests)),
    constantFrom(...paths),
    constantFrom(endHeaders, endHeaders | endStream),
    constantFrom(1, 3, 5),
  ).map(([given, path, flags, stream]) => headers(fields({ ...given, ":path": path }), flags, stream));
  const anySession = array(oneof(anyFrame, anyRequest), { minLength: 1, maxLength: 8 });

  for (const name of names) {
    test(`end no server in any order on the ${name} port`, async () => {
      const property = asyncProperty(array(anySession, { minLength: 8, maxLength: 8 }), async (sessions) => {
        await Promise.all(
          sessions.map((frames, index) => (index % 2 ? sendRaw : sendAndReset)(ports[name], session(...frames))),
        );
        await assertServes();
      });
      await check(property, { numRuns: 25, endOnFailure: true });
    });
  }
});
