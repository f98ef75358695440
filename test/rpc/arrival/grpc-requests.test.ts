import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { ServerHttp2Stream } from "node:http2";
import { test } from "node:test";
import { createGrpcRequests } from "../../../src/rpc/arrival/grpc-requests.ts";
import { createRequestBudget } from "../../../src/rpc/arrival/request-budget.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { envelope } from "./raw-requests.ts";

const kib = 1024;
const stallMs = 30_000;
/** A small message in one piece, as almost every single request is. */
const small = envelope(15 * kib);

/** A budget of which 1 MiB is for what takes no room, and requests on one connection whose ends are held back. */
function setUp() {
  const clock = createFakeClock();
  const cuts: string[] = [];
  const budget = createRequestBudget({
    ...{ bytes: 2 * kib * kib, stallMs, clock },
    onCut: (reason) => cuts.push(reason),
  });
  const requests = createGrpcRequests({ budget, messageBytes: 4 * kib * kib, streamPaths: new Set() });
  const session = {};
  const nothing = () => undefined;

  function begin(): EventEmitter {
    const stream = Object.assign(new EventEmitter(), {
      ...{ session, pause: nothing, resume: nothing, close: nothing, destroy: nothing },
    });
    requests.count(stream as unknown as ServerHttp2Stream, { ":path": "/submit" });
    return stream;
  }
  return { clock, cuts, begin };
}

test("whole small requests that hold back their ends are cut when they hold more than the budget", () => {
  const { clock, cuts, begin } = setUp();
  for (let count = 0; count < 100; count += 1) begin().emit("data", small);
  clock.advance(50); // far from when they would be opened
  assert.deepEqual(new Set(cuts), new Set(["crowded_out"]));
});

test("a whole small request is still counted when it is opened later", () => {
  const { clock, cuts, begin } = setUp();
  for (let count = 0; count < 60; count += 1) begin().emit("data", small);
  clock.advance(stallMs / 2);
  for (let count = 0; count < 60; count += 1) begin().emit("data", small);
  assert.deepEqual(cuts, []);
  clock.advance(50);
  assert.deepEqual(new Set(cuts), new Set(["crowded_out"]));
});

test("whole small requests that end are never counted", () => {
  const { clock, cuts, begin } = setUp();
  for (let count = 0; count < 1_000; count += 1) {
    const stream = begin();
    stream.emit("data", small);
    stream.emit("end");
  }
  clock.advance(50);
  assert.deepEqual(cuts, []);
});
