import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { ServerHttp2Stream } from "node:http2";
import { test } from "node:test";
import type { LogFields } from "../../../src/log.ts";
import { createGrpcRequests } from "../../../src/rpc/arrival/grpc-requests.ts";
import { createRequestBudget, type RequestBudget } from "../../../src/rpc/arrival/request-budget.ts";
import { ignore } from "../../../src/rpc/boundary.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { keptLog } from "../../support/samples.ts";
import { envelope } from "./raw-requests.ts";

const { log } = keptLog();
const kib = 1024;
const stallMs = 30_000;
/** A small message in one piece, as almost every single request is. */
const small = envelope(15 * kib);

/** A budget of which 1 MiB is for what takes no room, and requests on one connection whose ends are held back. */
function setUp() {
  const clock = createFakeClock();
  const cuts: string[] = [];
  const budget = createRequestBudget({
    ...{ bytes: 2 * kib * kib, stallMs, clock, log },
    onCut: (reason) => cuts.push(reason),
  });
  const requests = createGrpcRequests({ budget, log, messageBytes: 4 * kib * kib, streamPaths: new Set() });
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

const mistake = () => {
  throw new Error("a mistake of ours");
};

/** Counts a single request in this budget; the returned stream says whether it was destroyed. */
function count(budget: Partial<RequestBudget>) {
  const errors: unknown[] = [];
  const error = (fields: LogFields) => void errors.push(fields["error"]);
  const requests = createGrpcRequests({
    ...{ log: { ...log, error }, messageBytes: 1_000_000, streamPaths: new Set<string>() },
    budget: { open: mistake, openLater: ignore, hold: ignore, forget: ignore, heldBytes: () => 0, ...budget },
  });
  const stream = Object.assign(new EventEmitter(), {
    isDestroyed: false,
    destroy() {
      stream.isDestroyed = true;
    },
  });
  requests.count(stream as unknown as ServerHttp2Stream, { ":path": "/Submit" });
  return { stream, errors };
}

test("a request that cannot be counted when its bytes come is cut, and nothing is thrown at the event loop", () => {
  const { stream, errors } = count({});
  stream.emit("data", Buffer.alloc(100_000));
  assert.deepEqual([stream.isDestroyed, errors], [true, ["a mistake of ours"]]);
});

test("a request that cannot be counted when it ends is cut, and nothing is thrown at the event loop", () => {
  const { stream, errors } = count({ forget: mistake });
  stream.emit("end");
  assert.deepEqual([stream.isDestroyed, errors], [true, ["a mistake of ours"]]);
});

test("a request that cannot be counted when a timer opens it is cut, and nothing is thrown at the timer", () => {
  let open = ignore;
  const { stream, errors } = count({
    openLater(later) {
      open = () => later.open();
    },
  });
  open();
  assert.deepEqual([stream.isDestroyed, errors], [true, ["a mistake of ours"]]);
});
