/** Errors of ours where the network calls in: they end one request or connection, and never the server. */
import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import type { ServerHttp2Stream } from "node:http2";
import { connect, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { createClient } from "@connectrpc/connect";
import { create } from "@bufbuild/protobuf";
import { parseConfig } from "../../src/config.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
  HealthCheckResponseSchema,
} from "../../src/gen/grpc/health/v1/health_pb.ts";
import type { Log, LogFields } from "../../src/log.ts";
import { ignore } from "../../src/rpc/boundary.ts";
import { served } from "../../src/rpc/served.ts";
import { createRegistry } from "../../src/metrics/registry.ts";
import { typesOf } from "../../src/rpc/task-types.ts";
import { createFrontEnds } from "../../src/server/front-ends.ts";
import { type Way, ways } from "../rpc/fixtures.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { until } from "../support/until.ts";

const mistake = () => {
  throw new Error("a mistake of ours");
};

/** Connections are cut so long after a stop. */
const closeMs = 2_000;

/** Both ports with the health service, and a log of which the test says whether it can be written to. */
async function open(t: TestContext, limits: { readonly connections?: number } = {}) {
  const state = { isLogBroken: false };
  const failures: string[] = [];
  const log: Log = {
    ...{ debug: ignore, info: ignore, isWritten: () => true },
    warn: () => (state.isLogBroken ? mistake() : undefined),
    error: ({ error }: LogFields, line) => void failures.push(`${line}: ${String(error)}`),
  };
  const clock = createFakeClock();
  const health = served(Health, {
    check: async () => create(HealthCheckResponseSchema, { status: Status.SERVING }),
    watch: mistake,
    list: mistake,
  });
  const text = JSON.stringify({ grpc: { port: 0 }, http: { port: 0 }, limits });
  const fronts = createFrontEnds({
    config: parseConfig({ file: { name: "test.yaml", text }, env: {}, flags: {}, cores: 2 }),
    ...{ services: [health], tasks: () => new Map(), types: typesOf(new Map()), clock, log, random: Math.random },
    readiness: { reasons: () => [], paused: () => [] },
    registry: createRegistry(clock),
  });
  for (const each of [fronts.grpc, fronts.http]) {
    await each.start();
    t.after(async () => {
      const stopped = each.stop();
      clock.advance(closeMs); // clients keep their connections
      await stopped;
    });
  }
  const addresses = { grpcAddress: fronts.grpc.address(), httpAddress: fronts.http.address() };

  async function dial(address: string): Promise<Socket> {
    const [host, port] = address.split(":");
    const socket = connect({ host, port: Number(port) });
    t.after(() => socket.destroy());
    socket.on("error", ignore).resume();
    await once(socket, "connect");
    return socket;
  }

  /** A call over a connection of its own. */
  const check = (way: Way) => createClient(Health, way.transport(addresses)).check({});
  const assertServed = async () => {
    for (const way of Object.values(ways)) assert.equal((await check(way)).status, Status.SERVING, way.name);
  };
  return { state, failures, clock, dial, check, assertServed, addresses: Object.values(addresses) };
}

test("a timer and a counting handler that throw end only their own connection, and both ports serve a polite call", async (t) => {
  const { state, failures, clock, dial, assertServed, addresses } = await open(t, { connections: 10 });
  const held = await Promise.all(addresses.flatMap((address) => Array.from({ length: 5 }, () => dial(address))));
  // those beyond the limit are refused: the first has its line in the log at once, the others share one later
  for (const address of addresses) await once(await dial(address), "end");
  state.isLogBroken = true;
  clock.advance(10_000); // the line of the others
  for (const address of addresses) await once(await dial(address), "end"); // each tries to write the first line
  state.isLogBroken = false;
  assert.deepEqual(failures, [
    "a timer failed: a mistake of ours",
    "a connection's handler failed: a mistake of ours",
    "a connection's handler failed: a mistake of ours",
  ]);
  assert.ok(held.every(({ readyState }) => readyState === "open"));
  for (const socket of held) socket.destroy();
  const isServed = () =>
    assertServed().then(
      () => true,
      () => false,
    );
  await until(isServed); // that they closed takes a moment to get there
});

test("an answer of the gRPC port that cannot be written ends its own connection, and a polite call is served", async (t) => {
  const { failures, check, assertServed } = await open(t);
  const breakStream = (published: unknown) => {
    (published as { readonly stream: ServerHttp2Stream }).stream.respond = mistake;
  };
  subscribe("http2.server.stream.created", breakStream);
  try {
    await assert.rejects(check(ways.grpc));
  } finally {
    unsubscribe("http2.server.stream.created", breakStream);
  }
  assert.deepEqual(failures, ["a call's answer failed: a mistake of ours"]);
  await assertServed();
});
