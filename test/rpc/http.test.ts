import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { describe, test, type TestContext } from "node:test";
import { createSignal } from "../../src/lifecycle.ts";
import { createHttpServer, type HttpServerOptions } from "../../src/rpc/http.ts";
import { turn } from "../support/fake-clock.ts";
import { keptLog } from "../support/samples.ts";
import { portOf, preface } from "./raw.ts";

const host = "127.0.0.1";
const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;

const settings = (given: Partial<HttpServerOptions> = {}): HttpServerOptions => ({
  ...{ host, port: 0 },
  connections: { admit: () => true },
  ...{ headBytes: 16_384, headMs: 60_000, maxUnanswered: 100, log: keptLog().log },
  http2Advice: () => "gRPC is next door",
  onHttp2: () => undefined,
  ...given,
});

/** A server; `/held` is answered only when the test says so. */
async function open(t: TestContext, given: Partial<HttpServerOptions> = {}) {
  const held = createSignal<() => void>();
  const server = createHttpServer((incoming, response) => {
    const answer = () => response.end(`one ${incoming.method} ${incoming.url}`);
    if (incoming.url === "/held") held.fire(answer);
    else answer();
  }, settings(given));
  await server.listen();
  const port = portOf(server.address());
  t.after(async () => {
    const closed = server.close();
    server.destroy();
    await closed;
  });

  /** A bare connection. */
  async function dial(): Promise<Socket> {
    const socket = connect({ port, host, noDelay: true, allowHalfOpen: true });
    t.after(() => socket.destroy());
    socket.on("error", () => undefined);
    await once(socket, "connect");
    return socket;
  }
  return { server, port, held: held.promise, dial };
}

/** Sends pieces so that each arrives as a packet of its own. */
/** The reason and the sentence in an answer. */
function reasonIn(answer: string): string {
  const { message, details } = JSON.parse(/\{.*\}/.exec(answer)?.[0] ?? "{}");
  return `${details[0].debug.reason}: ${message}`;
}

async function sendApart(socket: Socket, pieces: readonly (string | Uint8Array)[]): Promise<void> {
  for (const piece of pieces) {
    await new Promise<void>((resolve) => socket.write(piece, () => resolve()));
    for (let turns = 0; turns < 20; turns += 1) await turn(); // the server, in this process, reads it meanwhile
  }
}

/** What comes until it holds this text. */
async function readUntil(socket: Socket, expected: string): Promise<string> {
  let heard = "";
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    heard += (chunk as Buffer).toString("latin1");
    if (heard.includes(expected)) return heard;
  }
  return heard;
}

describe("a client", () => {
  for (const method of ["GET", "POST", "PUT", "PATCH", "PROPFIND"]) {
    test(`may send ${method} byte by byte`, async (t) => {
      const socket = await (await open(t)).dial();
      await sendApart(socket, `${method} /x `.split(""));
      socket.write("HTTP/1.1\r\ncontent-length: 0\r\nhost: x\r\n\r\n");
      assert.match(await readUntil(socket, "/x"), new RegExp(`^HTTP/1.1 200 OK[^]*one ${method} /x`));
    });
  }

  test("answers what is no protocol at all with 400", async (t) => {
    const socket = await (await open(t)).dial();
    socket.write("PRIVATE \0\0\0\r\n\r\n");
    assert.match(await readUntil(socket, "400"), /^HTTP\/1\.1 400 /);
  });

  test("keeps a connection of HTTP/1.1 for the next request", async (t) => {
    const socket = await (await open(t)).dial();
    for (const path of ["/a", "/b", "/c"]) {
      socket.write(get(path));
      assert.match(await readUntil(socket, `one GET ${path}`), /200 OK/);
    }
  });

  test("cuts a connection with more requests than may wait for an answer, before it begins them, and others are served", async (t) => {
    const { held, dial } = await open(t, { maxUnanswered: 3 });
    const greedy = await dial();
    greedy.write(get("/held") + get("/1").repeat(3));
    await held;
    assert.equal(await readUntil(greedy, "more than its end"), "");
    const polite = await dial();
    polite.write(get("/a") + get("/b") + get("/c"));
    assert.match(await readUntil(polite, "one GET /c"), /one GET \/a[^]*one GET \/b/);
  });

  test("begins as many requests of one connection as there are, one after the other", async (t) => {
    const { dial } = await open(t, { maxUnanswered: 1 });
    const socket = await dial();
    for (let each = 0; each < 5; each += 1) {
      socket.write(get("/1"));
      assert.match(await readUntil(socket, "one GET /1"), /200 OK/);
    }
  });

  test("answers a client of HTTP/1.1 that ended its side after the request", async (t) => {
    const { dial, held } = await open(t);
    const socket = await dial();
    socket.end(get("/held"));
    (await held)();
    assert.match(await readUntil(socket, "one GET /held"), /200 OK/);
  });
});

describe("a client of HTTP/2", () => {
  function speak(t: TestContext, port: number): ClientHttp2Session {
    const session = connectHttp2(`http://${host}:${port}`);
    t.after(() => session.destroy());
    return session.on("error", () => undefined);
  }

  test("is told in HTTP/2 that HTTP/1.1 is required, with advice, and others are served", async (t) => {
    let count = 0;
    const long = `gRPC is at ${"a".repeat(253)}:7717`;
    const { port, dial } = await open(t, { http2Advice: () => long, onHttp2: () => (count += 1) });
    const [code, last, advice] = (await once(speak(t, port), "goaway")) as [number, number, Buffer];
    assert.deepEqual([code, last, advice.toString(), count], [13, 0, long, 1]);
    const socket = await dial();
    socket.write(get("/fine"));
    assert.match(await readUntil(socket, "one GET /fine"), /200 OK/);
  });

  test("is told so however its preface is cut into packets, and behind a request too", async (t) => {
    const { dial } = await open(t);
    for (const pieces of [preface.split(""), [get("/a"), preface]]) {
      const socket = await dial();
      const answer = text(socket);
      await sendApart(socket, pieces);
      assert.match(await answer, /gRPC is next door$/);
    }
  });
});

describe("a slow or broken client", () => {
  for (const [what, bytes] of [
    ["sends nothing", ""],
    ["never ends the head of its request", "GET / HTTP/1.1\r\nx-slow: "],
    ["sends the begin of HTTP/2's preface", "PR"],
  ] as const) {
    test(`that ${what} is answered 408 and cut`, async (t) => {
      const socket = await (await open(t, { headMs: 50 })).dial();
      socket.write(bytes);
      const answer = await text(socket);
      assert.match(answer, /^HTTP\/1\.1 408 Request Timeout\r\nConnection: close\r\n/);
      assert.match(reasonIn(answer), /^malformed_request: .* its head was not complete after 50 ms$/);
    });
  }

  test("whose head is too large is answered 431 and cut", async (t) => {
    const socket = await (await open(t, { headBytes: 1_000 })).dial();
    socket.write(`GET / HTTP/1.1\r\nx: ${"x".repeat(2_000)}`);
    const answer = await text(socket);
    assert.match(answer, /^HTTP\/1\.1 431 /);
    assert.match(reasonIn(answer), /^malformed_request: .* its head has more than 1000 bytes$/);
  });

  for (const [what, status, request, why] of [
    ["that sends what is not HTTP", 400, "GARBAGE\r\n\r\n", "it is not HTTP/1.1"],
    [
      "that expects something",
      417,
      "GET / HTTP/1.1\r\nhost: x\r\nexpect: cake\r\nconnection: close\r\n\r\n",
      "it expects",
    ],
  ] as const) {
    test(`${what} is answered ${status}, with the reason`, async (t) => {
      const socket = await (await open(t)).dial();
      socket.write(request);
      const answer = await text(socket);
      assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.ok(reasonIn(answer).startsWith(`malformed_request: the request cannot be read: ${why}`), answer);
    });
  }

  test("that sends nonsense while it gets an answer gets no other one into the middle of it", async (t) => {
    let response: { write(part: string): unknown } | undefined;
    const begun = createSignal();
    const server = createHttpServer((_incoming, answer) => {
      response = answer;
      answer.write("the begin");
      begun.fire();
    }, settings());
    await server.listen();
    const port = portOf(server.address());
    t.after(async () => {
      server.destroy();
      await server.close();
    });
    const socket = connect({ port, host, noDelay: true });
    t.after(() => socket.destroy());
    socket.write(get("/"));
    await begun.promise;
    socket.write("\0\0\r\n\r\n");
    const answer = await text(socket);
    assert.ok(response);
    assert.match(answer, /^HTTP\/1\.1 200 OK[^]*the begin\r\n$/);
  });

  test("that is quick at first is not cut later by the wait for its head", async (t) => {
    const { dial, held } = await open(t, { headMs: 50 });
    const socket = await dial();
    socket.write(get("/held"));
    const answer = await held;
    const other = await dial(); // is cut for sending nothing, and so shows that the time has passed
    await once(other.resume(), "end");
    answer();
    assert.match(await readUntil(socket, "one GET /held"), /200 OK/);
  });

  for (const bytes of ["", "P", "GET / HT", preface]) {
    test(`that hangs up after ${JSON.stringify(bytes)} does no harm to others`, async (t) => {
      const { dial } = await open(t);
      const socket = await dial();
      if (bytes) await sendApart(socket, [bytes]);
      socket.resetAndDestroy();
      await turn();
      const other = await dial();
      other.write(get("/fine"));
      assert.match(await readUntil(other, "one GET /fine"), /200 OK/);
    });
  }
});

describe("close", () => {
  test("takes no more connections, ends idle ones, and waits for what is being answered", async (t) => {
    const { server, port, dial, held } = await open(t);
    const [busy, idle, silent] = [await dial(), await dial(), await dial()];
    idle.write(get("/a"));
    await readUntil(idle, "one GET /a");
    busy.write(get("/held"));
    const answer = await held;
    let isClosed = false;
    const closed = server.close().then(() => {
      isClosed = true;
    });
    await Promise.all([idle, silent].map((socket) => once(socket.resume(), "end")));
    assert.equal(isClosed, false);
    await assert.rejects(once(connect({ port, host }), "connect"), /ECONNREFUSED/);
    answer();
    assert.match(await readUntil(busy, "one GET /held"), /200 OK/);
    await once(busy.resume(), "end"); // it is not kept for another request
    await closed;
  });

  test("destroy cuts what would not end", async (t) => {
    const { server, dial, held } = await open(t);
    const socket = await dial();
    socket.write(get("/held"));
    await held;
    const closed = server.close();
    server.destroy();
    await closed;
  });

  test("of a server that never listened, and twice, is safe", async (t) => {
    await createHttpServer(() => undefined, settings()).close();
    const { server } = await open(t);
    await server.close();
    await server.close();
  });
});

test("a port that is taken is an error", async (t) => {
  const { port } = await open(t);
  const second = createHttpServer(() => undefined, settings({ port }));
  await assert.rejects(second.listen(), /HTTP cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE.*--http-port/);
});
