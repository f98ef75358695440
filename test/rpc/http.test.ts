import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttp1, request } from "node:http";
import { connect as connectHttp2, createServer as createHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { describe, test, type TestContext } from "node:test";
import { createSignal } from "../../src/lifecycle.ts";
import { type Clock, systemClock } from "../../src/clock.ts";
import { createDualServer } from "../../src/rpc/http.ts";
import { createFakeClock, turn } from "../support/fake-clock.ts";
import { keptLog } from "../support/samples.ts";

const host = "127.0.0.1";
/** Says nothing. */
const { log } = keptLog();
/** A client has so long for its first bytes, pings come after so long, and may wait so long for their answers. */
const [firstBytesMs, everyMs, timeoutMs] = [60_000, 20_000, 10_000];
const settings = (clock: Clock = systemClock) => ({
  ...{ log, clock, firstBytesMs },
  connections: { admit: () => true },
  keepalive: { everyMs, timeoutMs },
});
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const emptySettings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
/** HEADERS of stream 1 without END_HEADERS: CONTINUATION has to follow. */
const headWithoutEnd = Buffer.from([0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82]);
const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;

/** A server on both protocols; `/held` is answered only when the test says so. */
async function open(
  t: TestContext,
  options: { readonly firstBytesMs?: number; readonly headersTimeout?: number; readonly clock?: Clock } = {},
) {
  const held = createSignal<() => void>();
  const { headersTimeout = 60_000 } = options;
  const http1 = createHttp1({ headersTimeout, connectionsCheckingInterval: 20 }, (incoming, response) => {
    const answer = () => response.end(`one ${incoming.method} ${incoming.url}`);
    if (incoming.url === "/held") held.fire(answer);
    else answer();
  });
  const http2 = createHttp2((incoming, response) => {
    const answer = () => response.end(`two ${incoming.method} ${incoming.url}`);
    if (incoming.url === "/held") held.fire(answer);
    else answer();
  });
  const server = createDualServer(http1, http2, { ...settings(), ...options });
  const port = await server.listen(host, 0);
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

  /** A session of HTTP/2 and the text of one answer on it. */
  function session() {
    const client = connectHttp2(`http://${host}:${port}`);
    t.after(() => client.destroy());
    client.on("error", () => undefined);
    return { client, get: (path: string) => text(client.request({ ":path": path }).end()) };
  }
  return { server, port, held: held.promise, dial, session };
}

/** Sends pieces so that each arrives as a packet of its own. */
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

describe("one port", () => {
  test("speaks HTTP/1.1 and HTTP/2 at the same time", async (t) => {
    const { port, session } = await open(t);
    const one = new Promise<string>((resolve, reject) => {
      request({ host, port, path: "/a", agent: false }, (response) => resolve(text(response)))
        .on("error", reject)
        .end();
    });
    assert.deepEqual(await Promise.all([one, session().get("/b")]), ["one GET /a", "two GET /b"]);
  });

  for (const at of [1, 2, 3, 4, 10]) {
    test(`knows HTTP/2 when its first packet holds ${at} bytes`, async (t) => {
      const socket = await (await open(t)).dial();
      const settings = once(socket, "data");
      await sendApart(socket, [preface.slice(0, at), preface.slice(at), emptySettings]);
      const [frame] = (await settings) as [Buffer];
      assert.equal(frame[3], 4, "the first frame of a server is SETTINGS");
    });
  }

  test("knows HTTP/2 byte by byte", async (t) => {
    const socket = await (await open(t)).dial();
    const settings = once(socket, "data");
    await sendApart(socket, [...preface.split(""), emptySettings]);
    const [frame] = (await settings) as [Buffer];
    assert.equal(frame[3], 4);
  });

  for (const method of ["GET", "POST", "PUT", "PATCH", "PROPFIND"]) {
    test(`knows ${method} of HTTP/1.1 byte by byte`, async (t) => {
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

  test("answers a client of HTTP/1.1 that ended its side after the request", async (t) => {
    const { dial, held } = await open(t);
    const socket = await dial();
    socket.end(get("/held"));
    (await held)();
    assert.match(await readUntil(socket, "one GET /held"), /200 OK/);
  });
});

describe("a slow or broken client", () => {
  for (const [what, bytes] of [
    ["sends nothing", ""],
    ["sends the begin of a preface", "PR"],
  ] as const) {
    test(`that ${what} is cut`, async (t) => {
      const socket = await (await open(t, { firstBytesMs: 30 })).dial();
      socket.resume().write(bytes);
      await once(socket, "end");
    });
  }

  test("that never ends the head of its request is answered 408 and cut", async (t) => {
    const socket = await (await open(t, { headersTimeout: 50 })).dial();
    socket.write("GET / HTTP/1.1\r\nx-slow: ");
    assert.match(await text(socket), /^HTTP\/1\.1 408 /);
  });

  for (const [what, pieces] of [
    ["sends the first bytes of the preface", [preface.slice(0, 4)]],
    ["sends the preface and no SETTINGS", [preface]],
    ["sends a head and not the rest of it", [preface, emptySettings, headWithoutEnd]],
  ] as const) {
    test(`of HTTP/2 that ${what} is cut when it answers no ping`, async (t) => {
      const clock = createFakeClock();
      const socket = await (await open(t, { clock })).dial();
      await sendApart(socket, pieces);
      while (clock.timers() === 0) await turn(); // its session has begun
      clock.advance(everyMs);
      clock.advance(timeoutMs);
      await once(socket.resume(), "end");
    });
  }

  test("is not cut while it answers pings, however silent it is otherwise", async (t) => {
    const clock = createFakeClock();
    const { client, get } = (await open(t, { clock })).session();
    await get("/first");
    for (let passedMs = 0; passedMs < 10 * everyMs; passedMs += timeoutMs) {
      clock.advance(timeoutMs);
      await get("/behind"); // the client has the ping, if there was one
      await get("/answered"); // and the server its answer
    }
    assert.equal(await get("/last"), "two GET /last");
    assert.equal(client.destroyed, false);
  });

  test("that is quick at first is not cut later by the wait for its first bytes", async (t) => {
    const { dial, held } = await open(t, { firstBytesMs: 30 });
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
      const { dial, session } = await open(t);
      const socket = await dial();
      if (bytes) await sendApart(socket, [bytes]);
      socket.resetAndDestroy();
      await turn();
      assert.equal(await session().get("/fine"), "two GET /fine");
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

  test("lets streams of HTTP/2 end, and idle sessions at once", async (t) => {
    const { server, session, held } = await open(t);
    const [idle, busy] = [session(), session()];
    await idle.get("/a");
    const answer = busy.get("/held");
    const tell = await held;
    const closed = server.close();
    await once(idle.client, "close");
    tell();
    assert.equal(await answer, "two GET /held");
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
    await createDualServer(createHttp1(), createHttp2(), settings()).close();
    const { server } = await open(t);
    await server.close();
    await server.close();
  });
});

test("a port that is taken is an error", async (t) => {
  const { port } = await open(t);
  const second = createDualServer(createHttp1(), createHttp2(), settings());
  await assert.rejects(second.listen(host, port), /EADDRINUSE/);
});
