/** How many connections there may be, and which of them stay. */
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { describe, test, type TestContext } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { createRequestBudget } from "../../src/rpc/arrival/request-budget.ts";
import { ignore } from "../../src/rpc/boundary.ts";
import { createConnectionLimits } from "../../src/rpc/connection-limits.ts";
import { createGrpcFrontEnd } from "../../src/rpc/grpc.ts";
import { typesOf } from "../../src/rpc/task-types.ts";
import { keptLog } from "../support/samples.ts";
import { until } from "../support/until.ts";
import { openServer, type TestServer, ways } from "./fixtures.ts";

async function dial(t: TestContext, address: string): Promise<Socket> {
  const [host, port] = address.split(":");
  const socket = connect({ host, port: Number(port), allowHalfOpen: true });
  t.after(() => socket.destroy());
  socket.on("error", ignore);
  await once(socket, "connect");
  return socket;
}

const connectionFrom = (remoteAddress: string | undefined) =>
  Object.assign(new EventEmitter(), { remoteAddress }) as unknown as Socket;

describe("connections", () => {
  function limits(connections: number, connectionsPerAddress: number) {
    const refused: string[] = [];
    const { admit, open } = createConnectionLimits({
      ...{ connections, connectionsPerAddress },
      onRefused: (limit) => refused.push(limit),
    });
    return { refused, admit, open };
  }

  test("beyond what one address may have are refused until one closes; other addresses are not", () => {
    const { refused, admit, open } = limits(10, 2);
    const first = connectionFrom("192.0.2.1");
    assert.deepEqual([first, connectionFrom("192.0.2.1"), connectionFrom("192.0.2.1")].map(admit), [true, true, false]);
    assert.equal(admit(connectionFrom("192.0.2.2")), true);
    assert.equal(open(), 3);
    first.emit("close");
    assert.equal(open(), 2);
    assert.equal(admit(connectionFrom("192.0.2.1")), true);
    assert.deepEqual(refused, ["connectionsPerAddress"]);
  });

  test("beyond what there may be in all are refused, whatever their address", () => {
    const { refused, admit } = limits(3, 2);
    const admitted = ["192.0.2.1", "192.0.2.2", "::1", "192.0.2.3", "127.0.0.1"].map((address) =>
      admit(connectionFrom(address)),
    );
    assert.deepEqual(
      [admitted, refused],
      [
        [true, true, true, false, false],
        ["connections", "connections"],
      ],
    );
  });

  for (const address of ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"]) {
    test(`from ${address} share one address, so only the limit in all holds`, () => {
      const { admit } = limits(5, 1);
      assert.deepEqual(
        Array.from({ length: 6 }, () => admit(connectionFrom(address))),
        [true, true, true, true, true, false],
      );
    });
  }

  test("from one /64 network of IPv6 share one limit, for a client has as many addresses in it as it likes", () => {
    const network = ["2001:db8:1:2::1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", "2001:db8:1:2:ffff::1"];
    const others = ["2001:db8:1:3::1", "2001:db8::1:2:3", "2001:db8:0:1::2", "fe80::1%eth0"];
    const { admit, refused } = limits(100, 2);
    assert.deepEqual(
      [...network, ...others].map((address) => admit(connectionFrom(address))),
      [true, true, false, false, true, true, true, true],
    );
    assert.deepEqual(refused, ["connectionsPerAddress", "connectionsPerAddress"]);
  });

  test("from an IPv4 address count together, whether it comes alone or mapped into IPv6; others do not", () => {
    const { admit } = limits(100, 1);
    const addresses = ["192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2", "192.0.2.2"];
    assert.deepEqual(
      addresses.map((address) => admit(connectionFrom(address))),
      [true, false, true, false],
    );
  });

  test("from one /64 network make room for others of it when they close", () => {
    const { admit } = limits(100, 1);
    const first = connectionFrom("2001:db8::1");
    assert.deepEqual([admit(first), admit(connectionFrom("2001:db8::2"))], [true, false]);
    first.emit("close");
    assert.equal(admit(connectionFrom("2001:db8::2")), true);
  });

  test("that are closed already are not counted", () => {
    const { admit, refused } = limits(1, 1);
    assert.equal(admit(connectionFrom(undefined)), false);
    assert.equal(admit(connectionFrom("::1")), true);
    assert.deepEqual(refused, []);
  });
});

describe("a server", () => {
  async function serve(t: TestContext, given: { readonly [section: string]: unknown }): Promise<TestServer> {
    const server = await openServer(given);
    t.after(() => server.remove());
    return server;
  }

  test("closes connections to either port beyond its limit, and serves again when there is room", async (t) => {
    const server = await serve(t, { limits: { connections: 4 } });
    const ports = [server.grpcAddress, server.httpAddress];
    const held = await Promise.all([...ports, ...ports].map((address) => dial(t, address)));
    for (const address of ports) {
      const refused = await dial(t, address);
      await once(refused.resume(), "end");
    }
    for (const socket of held) socket.destroy();
    const isServed = () =>
      server
        .client(ways.connectHttp1)
        .stats({})
        .then(Boolean, () => false);
    await until(isServed); // that they closed takes a moment to get there
  });

  test("cuts a head of HTTP/1.1 that does not end within slowSenderMs", async (t) => {
    const server = await serve(t, { slowSenderMs: 300 });
    const [half, nothing] = [await dial(t, server.httpAddress), await dial(t, server.httpAddress)];
    const ended = once(nothing.resume(), "end");
    half.write("GET /healthz HTTP/1.1\r\nx-slow: ");
    assert.match(await text(half), /^HTTP\/1\.1 408 /);
    await ended;
  });
});

test("a connection to the gRPC port that answers no ping is cut: no preface, no SETTINGS, or half a head", async (t) => {
  const limits = {
    ...{ messageBytes: 1_000, values: 1_000, streams: 1, metadataBytes: 1_024, sessionMemoryMiB: 1 },
    ...{ slowReaderMs: 1_000, slowSenderMs: 1_000, keepaliveMs: 50, keepaliveTimeoutMs: 50, closeMs: 0 },
  };
  const { log } = keptLog();
  const grpc = createGrpcFrontEnd([], {
    ...{ host: "127.0.0.1", port: 0, limits, types: typesOf(new Map()), webAddress: () => "", clock: systemClock, log },
    budget: createRequestBudget({ bytes: 1_000, stallMs: 1_000, clock: systemClock, log, onCut: ignore }),
    connections: { admit: () => true },
    random: Math.random,
  });
  await grpc.start();
  t.after(() => grpc.stop());
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  const headWithoutEnd = Buffer.from([0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82]);
  for (const bytes of [
    [],
    [preface.subarray(0, 4)],
    [preface],
    [preface, settings],
    [preface, settings, headWithoutEnd],
  ]) {
    const socket = await dial(t, grpc.address());
    socket.write(Buffer.concat(bytes));
    await once(socket.resume(), "end");
  }
});
