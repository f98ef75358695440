import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createEnvelopes } from "../../../src/rpc/arrival/framing.ts";
import type { LogFields } from "../../../src/log.ts";
import type { Arrival } from "../../../src/rpc/arrival/request-body.ts";
import { createRequestBudget } from "../../../src/rpc/arrival/request-budget.ts";
import { countSteps } from "../../support/count-steps.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";
import { keptLog } from "../../support/samples.ts";

const kib = 1024;
const mib = 1024 * kib;
/** A mebibyte with its head. */
const message = mib - 5;
const stallMs = 30_000;
/** What a paused request may still receive, by these tests. */
const pausedBytes = 100 * kib;

/** A budget of 8 MiB: 4 of room, 4 outside of it. */
function setUp() {
  const clock = createFakeClock();
  const cuts: string[] = [];
  const errors: unknown[] = [];
  const log = { ...keptLog().log, error: ({ error }: LogFields) => void errors.push(error) };
  const budget = createRequestBudget({
    ...{ bytes: 8 * mib, stallMs, clock, log },
    onCut: (reason) => void cuts.push(reason),
  });

  /** A request with one message of this size, which its client sends piece by piece. */
  function open(length: number, arrival: Partial<Arrival> = {}) {
    const state = { isPaused: false, isCut: false };
    const body = budget.open({
      ...{ connection: {}, framing: createEnvelopes(4 * mib), handsOver: "end", pausedBytes },
      pause: () => void (state.isPaused = true),
      resume: () => void (state.isPaused = false),
      cut: () => void (state.isCut = true),
      ...arrival,
    });
    const head = Buffer.alloc(5);
    head.writeUInt32BE(length, 1);
    let bytes = Buffer.concat([head, Buffer.alloc(length)]);
    return {
      ...body,
      state,
      send(count = bytes.length) {
        const piece = bytes.subarray(0, count);
        bytes = bytes.subarray(count);
        body.received(piece);
      },
      left: () => bytes.length,
    };
  }
  return { clock, cuts, errors, open, budget };
}

describe("the budget of requests", () => {
  test("lets small messages through, however much is held", () => {
    const { open } = setUp();
    for (let count = 0; count < 20; count += 1) open(message).send(20 * kib);
    const small = open(10 * kib);
    small.send();
    assert.deepEqual(small.state, { isPaused: false, isCut: false });
  });

  test("has room for a message of another connection, however much one holds", () => {
    const { open } = setUp();
    const connection = {};
    const greedy = Array.from({ length: 20 }, () => open(message, { connection }));
    for (const each of greedy) each.send(20 * kib);
    const other = open(message);
    other.send(20 * kib);

    assert.equal(greedy.filter(({ state }) => !state.isPaused).length, 2);
    assert.equal(other.state.isPaused, false);
  });

  test("pauses a message without room, and reads it on once there is room for all of it", async () => {
    const { open } = setUp();
    const connection = {};
    const [first, second, third] = [1, 2, 3].map(() => open(message, { connection }));
    for (const each of [first, second, third]) each?.send(20 * kib);
    assert.deepEqual([second?.state.isPaused, third?.state.isPaused], [false, true]);
    first?.send();
    await turn();
    assert.equal(third?.state.isPaused, true, "a message is held until its request ends");
    first?.end();
    await turn();
    assert.equal(third?.state.isPaused, false);
  });

  test("pauses a message without room again when its reader resumed it", async () => {
    const { open } = setUp();
    const connection = {};
    for (let count = 0; count < 2; count += 1) open(message, { connection }).send(20 * kib);
    const waiting = open(message, { connection });
    waiting.send(20 * kib);
    waiting.state.isPaused = false;
    waiting.send(20 * kib);
    assert.equal(waiting.state.isPaused, true);
  });

  test("lets all messages end that go on, whatever their number and order: none waits for ever", async () => {
    const { open, cuts } = setUp();
    const connections = [{}, {}, {}];
    const requests = Array.from({ length: 30 }, (_, index) =>
      open(((index % 4) + 1) * mib - 5, { connection: connections[index % 3] as object, pausedBytes: 0 }),
    );
    for (let round = 0; round < 2_000 && requests.some(({ left }) => left() > 0); round += 1) {
      for (const each of requests) {
        if (each.state.isPaused || each.left() === 0) continue;
        each.send(64 * kib);
        if (each.left() === 0) each.end();
      }
      await turn();
    }
    assert.deepEqual([requests.filter(({ left }) => left() > 0).length, cuts], [0, []]);
  });

  test("holds no message back that is larger than all of it, when nothing else is held", async () => {
    const { open } = setUp();
    const large = open(4 * mib);
    large.send(20 * kib);
    await turn();
    assert.equal(large.state.isPaused, false);
  });
});

describe("a request is cut", () => {
  for (const [what, sent] of [
    ["nothing of it comes", 0],
    ["it stops in the middle of a small message", 100],
    ["it stops in the middle of a large message", 100 * kib],
    ["its end is held back", message + 5],
  ] as const) {
    test(`when ${what} for as long as it may take`, () => {
      const { clock, cuts, open } = setUp();
      const request = open(message);
      if (sent > 0) request.send(sent);
      clock.advance(stallMs - 1);
      assert.deepEqual(cuts, []);
      clock.advance(stallMs / 5);
      assert.deepEqual([cuts, request.state], [["stalled"], { isPaused: false, isCut: true }]);
    });
  }

  test("not for the time that the server itself stands still", () => {
    const { clock, cuts, open } = setUp();
    open(message).send(100 * kib);
    clock.standStill(stallMs * 10);
    clock.advance(stallMs - 1);
    assert.deepEqual(cuts, []);
  });

  test("when it drips, and not when it is slow", () => {
    const { clock, cuts, open } = setUp();
    const [drips, slow] = [open(message), open(message)];
    for (let seconds = 0; seconds < 120; seconds += 1) {
      if (!drips.state.isCut) drips.send(10);
      slow.send(kib);
      clock.advance(1_000);
    }
    assert.deepEqual([drips.state.isCut, slow.state.isCut, cuts], [true, false, ["stalled"]]);
  });

  test("when it is slow, has room, and others wait for it", async () => {
    const { clock, open } = setUp();
    const connection = {};
    const slow = [open(message, { connection }), open(message, { connection })];
    for (const each of slow) each.send(20 * kib);
    const next = open(message, { connection });
    next.send(20 * kib);
    for (let seconds = 0; seconds < 40; seconds += 1) {
      for (const each of slow) if (!each.state.isCut) each.send(10 * kib);
      clock.advance(1_000);
      await turn();
    }
    assert.deepEqual(
      [slow.map(({ state }) => state.isCut), next.state],
      [[true, true], { isPaused: false, isCut: false }],
    );
  });

  test("never for the time that it waits for room", async () => {
    const { clock, open } = setUp();
    const connection = {};
    const [first, second] = [open(message, { connection }), open(message, { connection })];
    for (const each of [first, second]) each.send(20 * kib);
    const waiting = open(message, { connection });
    waiting.send(20 * kib);
    clock.advance(stallMs - 1);
    first.end();
    await turn();
    clock.advance(stallMs - 1);
    assert.deepEqual(waiting.state, { isPaused: false, isCut: false });
    clock.advance(stallMs / 5);
    assert.equal(waiting.state.isCut, true);
  });

  test("when one message comes in a huge number of tiny pieces, and not when many tiny messages do", () => {
    const { cuts, open } = setUp();
    const tiny = open(10 * kib);
    for (let count = 0; count < 512; count += 1) tiny.send(1);
    assert.deepEqual(cuts, []);
    tiny.send(1);
    assert.deepEqual(cuts, ["fragmented"]);

    const stream = open(0, { handsOver: "complete" });
    for (let count = 0; count < 2_000; count += 1) stream.received(Buffer.alloc(5));
    assert.equal(stream.state.isCut, false);
  });

  test("when what waits takes more than it may: on the connection that holds most", () => {
    const { clock, cuts, open } = setUp();
    const [much, little] = [{}, {}];
    const many = Array.from({ length: 40 }, () => open(message, { connection: much }));
    const few = Array.from({ length: 10 }, () => open(message, { connection: little }));
    for (const each of [...few, ...many]) each.send(20 * kib);
    clock.advance(100);
    assert.ok(cuts.length > 0 && cuts.every((reason) => reason === "crowded_out"));
    assert.ok(few.every(({ state }) => !state.isCut));
    assert.equal(many.filter(({ state }) => state.isCut).length, cuts.length);
  });

  test("at the cost of a few steps, when a thousand connections take more than they may", () => {
    const { clock, cuts, open } = setUp();
    const connections = 1_000;
    const requests = Array.from({ length: connections }, () => open(0));
    const begun = Buffer.alloc(20 * kib);
    begun.writeUInt32BE(message, 1);
    const steps = countSteps(() => {
      for (const each of requests) each.received(begun);
      clock.advance(100);
    });
    assert.ok(cuts.length > 900, `${cuts.length} are cut`);
    assert.ok(steps <= 50 * connections, `${steps} steps`);
  });

  test("never for its end, that a polite client sends right behind it", () => {
    const { clock, cuts, open } = setUp();
    for (let count = 0; count < 1_000; count += 1) {
      const request = open(15 * kib);
      request.send();
      request.end();
    }
    clock.advance(100);
    assert.deepEqual(cuts, []);
  });
});

describe("a stream of messages", () => {
  test("is read on while its reader takes them, and waits for it", () => {
    const { open } = setUp();
    const stream = open(100 * kib, { handsOver: "taken" });
    stream.send();
    assert.equal(stream.state.isPaused, true, "its reader has not taken the first");
    stream.taken();
    assert.equal(stream.state.isPaused, false);
  });

  test("may be silent between two messages", () => {
    const { clock, cuts, open } = setUp();
    for (const handsOver of ["taken", "complete"] as const) {
      const stream = open(100, { handsOver });
      stream.send();
      stream.taken();
    }
    clock.advance(10 * stallMs);
    assert.deepEqual(cuts, []);
  });

  test("that waits for its reader is not cut", () => {
    const { clock, cuts, open } = setUp();
    const stream = open(100 * kib, { handsOver: "taken" });
    stream.send();
    clock.advance(10 * stallMs);
    assert.deepEqual(cuts, []);
  });
});

test("a request that is opened later is opened when it is still there after a while, and once", () => {
  const { clock, budget } = setUp();
  const opened: string[] = [];
  const later = (name: string) => ({ bytes: 0, open: () => void opened.push(name) });
  const [gone, stays] = [later("gone"), later("stays")];
  budget.openLater(gone);
  budget.openLater(stays);
  clock.advance(stallMs / 10);
  budget.forget(gone);
  assert.deepEqual(opened, []);
  clock.advance(stallMs);
  assert.deepEqual([opened, clock.timers()], [["stays"], 0]);
});

test("requests that are opened later are opened at once when what they hold together is beyond the budget", () => {
  const { budget } = setUp();
  let opened = 0;
  const held = (bytes: number) => {
    const later = { bytes: 0, open: () => void (opened += 1) };
    budget.openLater(later);
    budget.hold(later, bytes);
    return later;
  };
  for (let count = 0; count < 1_000; count += 1) budget.forget(held(15 * kib)); // what has ended holds nothing
  assert.equal(budget.heldBytes(), 0);
  for (let count = 0; count < 4; count += 1) held(mib);
  assert.equal(opened, 0);
  assert.equal(budget.heldBytes(), 4 * mib);
  held(1);
  assert.equal(opened, 5);
  for (let count = 0; count < 4; count += 1) held(mib); // nor is counted again what is open
  assert.equal(opened, 5);
});

test("a budget without requests keeps no timer", () => {
  const { clock, open } = setUp();
  open(100).end();
  clock.advance(stallMs);
  assert.equal(clock.timers(), 0);
});

describe("an error while a request is counted ends it, and no other", () => {
  const broken = () => {
    throw new Error("a mistake of ours");
  };

  test("when its bytes are read", () => {
    const { open, errors } = setUp();
    const faulty = open(message, { framing: { ...createEnvelopes(4 * mib), read: broken } });
    const polite = open(message);
    faulty.send();
    polite.send();
    assert.deepEqual([faulty.state.isCut, polite.state], [true, { isPaused: false, isCut: false }]);
    assert.deepEqual(errors, ["a mistake of ours"]);
  });

  test("when a timer looks at it", () => {
    const { open, errors, clock } = setUp();
    let isBroken = false;
    const framing = createEnvelopes(4 * mib);
    const begun = () => (isBroken ? broken() : framing.begun());
    const faulty = open(message, { handsOver: "complete", framing: { ...framing, begun } });
    const silent = open(message);
    for (const each of [faulty, silent]) each.send(20 * kib);
    isBroken = true;
    clock.advance(stallMs / 10);
    assert.deepEqual([faulty.state.isCut, silent.state.isCut, errors], [true, false, ["a mistake of ours"]]);
    clock.advance(stallMs);
    assert.equal(silent.state.isCut, true, "the timer goes on");
  });

  test("when it gets the room that it waited for", async () => {
    const { open, errors } = setUp();
    const first = [open(3 * mib), open(3 * mib)];
    for (const each of first) each.send(20 * kib);
    const faulty = open(3 * mib, { resume: broken });
    faulty.send(20 * kib);
    assert.equal(faulty.state.isPaused, true);
    for (const each of first) each.end();
    await turn();
    assert.equal(faulty.state.isCut, true);
    assert.ok(errors.length > 0);
    const polite = open(message);
    polite.send();
    assert.deepEqual(polite.state, { isPaused: false, isCut: false });
  });

  test("when it is opened later", () => {
    const { open, budget, errors, clock } = setUp();
    let isOpened = false;
    budget.openLater({ bytes: 0, open: broken });
    budget.openLater({ bytes: 0, open: () => void (isOpened = true) });
    clock.advance(stallMs);
    assert.deepEqual([isOpened, errors], [true, ["a mistake of ours"]]);
    const silent = open(message);
    silent.send(20 * kib);
    clock.advance(2 * stallMs);
    assert.equal(silent.state.isCut, true, "stalled requests are still cut");
  });

  test("when it is cut", () => {
    const { open, cuts, clock } = setUp();
    const faulty = open(message, { cut: broken });
    const silent = open(message);
    for (const each of [faulty, silent]) each.send(20 * kib);
    clock.advance(2 * stallMs);
    assert.deepEqual([silent.state.isCut, cuts], [true, ["stalled", "stalled"]]);
    assert.equal(clock.timers(), 0);
  });
});
