import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2, createServer, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { describe, test, type TestContext } from "node:test";
import type { Log } from "../../src/log.ts";
import { type Admit, guarded, guardStreams, guardTimers, ignore } from "../../src/rpc/boundary.ts";
import { createListener } from "../../src/rpc/listener.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { keptLog } from "../support/samples.ts";
import { portOf } from "./raw.ts";

const bound = { name: "a test", portFlag: "--port", host: "127.0.0.1", port: 0 };

/** A log that keeps what is wrong. */
function createLines(): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  const error: Log["error"] = (fields, line) => lines.push(`${line}: ${String(fields["error"])}`);
  return { log: { ...keptLog().log, error }, lines };
}

test("a handler that throws is logged, and what it was called for is ended", () => {
  const { log, lines } = createLines();
  const ended: number[] = [];
  const half = (value: number) => {
    if (value % 2) throw new Error(`${value} is odd`);
  };
  const handler = guarded(log, "halving", half, (value) => ended.push(value));
  for (const value of [1, 2, 3]) handler(value);
  assert.deepEqual(ended, [1, 3]);
  assert.deepEqual(lines, ["halving failed: 1 is odd", "halving failed: 3 is odd"]);
});

test("a connection whose handler throws is cut, and the next one is served", async (t) => {
  const { log, lines } = createLines();
  let count = 0;
  const onConnection = (socket: Socket) => {
    count += 1;
    if (count === 1) throw new Error("the first one is unlucky");
    socket.end("served");
  };
  const listener = createListener({
    ...bound,
    allowHalfOpen: false,
    connections: { admit: () => true },
    onConnection,
    log,
  });
  await listener.listen();
  const port = portOf(listener.address());
  t.after(() => listener.close());
  assert.equal(await text(connect(port, "127.0.0.1")), "");
  assert.equal(await text(connect(port, "127.0.0.1")), "served");
  assert.deepEqual(lines, ["a connection's handler failed: the first one is unlucky"]);
});

test("a connection whose counting throws is cut, and the next one is served", async (t) => {
  const { log, lines } = createLines();
  let count = 0;
  const admit = () => {
    count += 1;
    if (count === 1) throw new Error("the first one cannot be counted");
    return true;
  };
  const onConnection = (socket: Socket) => void socket.end("served");
  const listener = createListener({ ...bound, allowHalfOpen: false, connections: { admit }, onConnection, log });
  await listener.listen();
  const port = portOf(listener.address());
  t.after(() => listener.close());
  assert.equal(await text(connect(port, "127.0.0.1")), "");
  assert.equal(await text(connect(port, "127.0.0.1")), "served");
  assert.deepEqual(lines, ["a connection's handler failed: the first one cannot be counted"]);
});

test("a timer that throws is logged, and the others go on", () => {
  const { log, lines } = createLines();
  const clock = createFakeClock();
  const called: string[] = [];
  const { after } = guardTimers(clock, log);
  after(1, () => {
    throw new Error("a mistake of ours");
  });
  after(2, () => called.push("second"));
  after(2, () => called.push("cancelled"))();
  clock.advance(2);
  assert.deepEqual([called, lines], [["second"], ["a timer failed: a mistake of ours"]]);
});

describe("the streams of a session", () => {
  /** A server whose handler throws for /throw, and a session with it. */
  async function open(t: TestContext, admit?: Admit) {
    const { log, lines } = createLines();
    const handled: string[] = [];
    const server = createServer();
    server.on("session", (session) => guardStreams(session, log, admit));
    server.on("stream", (stream: ServerHttp2Stream, headers) => {
      handled.push(String(headers[":path"]));
      if (headers[":path"] === "/throw") throw new Error("a mistake of ours");
      stream.respond({ ":status": 200 });
      stream.end("fine");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    t.after(() => {
      session.destroy();
      server.close();
    });
    const get = (path: string) => {
      const stream = session.request({ ":path": path });
      return text(stream.on("error", ignore)).catch(() => "cut");
    };
    return { get, lines, handled };
  }

  test("are handled as before, and one whose handler throws is cut without the others", async (t) => {
    const { get, lines } = await open(t);
    const answers = await Promise.all([get("/a"), get("/throw"), get("/b")]);
    assert.deepEqual([answers[0], answers[2], await get("/c")], ["fine", "fine", "fine"]);
    assert.notEqual(answers[1], "fine");
    assert.deepEqual(lines, ["a stream's handler failed: a mistake of ours"]);
  });

  test("come to their handlers only when they are admitted", async (t) => {
    const admit: Admit = (stream, headers) => {
      if (headers[":path"] === "/in") return true;
      stream.respond({ ":status": 403 }, { endStream: true });
      return false;
    };
    const { get, handled } = await open(t, admit);
    assert.deepEqual([await get("/out"), await get("/in")], ["", "fine"]);
    assert.deepEqual(handled, ["/in"]);
  });
});
