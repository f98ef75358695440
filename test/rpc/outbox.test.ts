import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, test } from "node:test";
import { createOutbox } from "../../src/rpc/outbox.ts";
import { createFakeClock, turn } from "../support/fake-clock.ts";

function open() {
  const clock = createFakeClock();
  const call = new AbortController();
  let closed = 0;
  const outbox = createOutbox<number>({
    clock,
    signal: call.signal,
    stallMs: 1000,
    stalled: () => new Error("stalled"),
    onClose: () => {
      closed += 1;
    },
  });
  const reader = outbox[Symbol.asyncIterator]();
  return { outbox, reader, clock, call, closed: () => closed };
}

/** Everything the reader gets, and the error at its end. */
async function readAll(reader: AsyncIterator<number>) {
  const items: number[] = [];
  try {
    for (let next = await reader.next(); !next.done; next = await reader.next()) items.push(next.value);
    return { items, error: undefined };
  } catch (error) {
    return { items, error: error as Error };
  }
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const done = () => {
    settled = true;
  };
  promise.then(done, done);
  await turn();
  return settled;
}

describe("items", () => {
  test("come in the order in which they were pushed, by whichever writer", async () => {
    const { outbox, reader } = open();
    for (let item = 1; item <= 5; item += 1) void outbox.push(item);
    outbox.end();
    assert.deepEqual(await readAll(reader), { items: [1, 2, 3, 4, 5], error: undefined });
  });

  test("reach a reader that waits for them", async () => {
    const { outbox, reader } = open();
    const next = reader.next();
    await turn();
    void outbox.push(7);
    assert.deepEqual(await next, { value: 7, done: false });
  });

  test("a push resolves when its item was passed on, and not while the reader is at it", async () => {
    const { outbox, reader } = open();
    const [first, second] = [outbox.push(1), outbox.push(2)];
    await reader.next();
    assert.equal(await isSettled(first), false);
    await reader.next();
    assert.equal(await isSettled(first), true);
    assert.equal(await isSettled(second), false);
    await reader.return?.();
    assert.equal(await isSettled(second), true);
  });

  test("none come after the reader has returned", async () => {
    const { outbox, reader } = open();
    void outbox.push(1);
    await reader.return?.();
    assert.equal((await reader.next()).done, true);
  });
});

describe("the end", () => {
  test("comes after what waits", async () => {
    const { outbox, reader, closed } = open();
    void outbox.push(1);
    outbox.end();
    assert.deepEqual(await reader.next(), { value: 1, done: false });
    assert.equal(closed(), 0);
    assert.equal((await reader.next()).done, true);
    assert.equal(closed(), 1);
  });

  test("may be an error, which comes after what waits too", async () => {
    const { outbox, reader } = open();
    void outbox.push(1);
    outbox.end(new Error("draining"));
    outbox.end();
    const { items, error } = await readAll(reader);
    assert.deepEqual(items, [1]);
    assert.equal(error?.message, "draining");
  });

  test("reaches a reader that waits", async () => {
    const { outbox, reader } = open();
    const next = reader.next();
    await turn();
    outbox.end();
    assert.equal((await next).done, true);
  });
});

describe("a failure", () => {
  test("comes at once: what waits is dropped, and its writers go on", async () => {
    const { outbox, reader, closed } = open();
    const pushed = outbox.push(1);
    outbox.fail(new Error("broken"));
    await pushed;
    assert.equal(closed(), 1);
    const { items, error } = await readAll(reader);
    assert.deepEqual(items, []);
    assert.equal(error?.message, "broken");
  });

  test("reaches a reader that waits, and the first one counts", async () => {
    const { outbox, reader, closed } = open();
    const next = reader.next();
    await turn();
    outbox.fail(new Error("first"));
    outbox.fail(new Error("second"));
    await assert.rejects(next, /first/);
    assert.equal(closed(), 1);
  });

  test("after an end that was not reached yet wins", async () => {
    const { outbox, reader } = open();
    void outbox.push(1);
    outbox.end();
    outbox.fail(new Error("broken"));
    assert.equal((await readAll(reader)).error?.message, "broken");
  });
});

describe("a reader that goes away", () => {
  test("closes the outbox: what waits is dropped, and pushing goes on into nothing", async () => {
    const { outbox, reader, closed, clock } = open();
    const taken = outbox.push(1);
    await reader.next();
    const waiting = outbox.push(2);
    await reader.return?.();
    await Promise.all([taken, waiting]);
    await outbox.push(3);
    assert.equal(closed(), 1);
    assert.equal(clock.timers(), 0);
  });

  test("is noticed by its call's signal also while it waits for an item", async () => {
    const { reader, call, closed } = open();
    const next = reader.next();
    await turn();
    call.abort(new Error("the client is gone"));
    await assert.rejects(next, /the client is gone/);
    assert.equal(closed(), 1);
  });

  test("before the outbox was even made is noticed too", async () => {
    const call = new AbortController();
    call.abort(new Error("gone early"));
    let closed = 0;
    const options = { clock: createFakeClock(), signal: call.signal, stallMs: 1, stalled: () => new Error("stalled") };
    const outbox = createOutbox<number>({ ...options, onClose: () => void (closed += 1) });
    await outbox.push(1);
    assert.equal(closed, 1);
    assert.equal((await readAll(outbox[Symbol.asyncIterator]())).error?.message, "gone early");
  });

  test("after the end is no failure", async () => {
    const { outbox, reader, call, closed } = open();
    outbox.end();
    await reader.next();
    assert.equal(getEventListeners(call.signal, "abort").length, 0);
    call.abort();
    assert.equal(closed(), 1);
  });
});

describe("a reader that takes nothing", () => {
  test("for stallMs while something waits has failed", async () => {
    const { outbox, reader, clock, closed } = open();
    const pushed = outbox.push(1);
    clock.advance(999);
    assert.equal(closed(), 0);
    clock.advance(1);
    await pushed;
    assert.equal(closed(), 1);
    assert.equal((await readAll(reader)).error?.message, "stalled");
  });

  test("has not when it was the server that stood still", async () => {
    const { outbox, reader, clock, closed } = open();
    void outbox.push(1);
    clock.standStill(60_000);
    clock.advance(0);
    assert.equal(closed(), 0);
    assert.equal((await reader.next()).value, 1);
  });

  test("has not while nothing waits", async () => {
    const { outbox, reader, clock, closed } = open();
    void outbox.push(1);
    await reader.next();
    clock.advance(100_000);
    assert.equal(closed(), 0);
    assert.equal(clock.timers(), 0);
  });

  test("has not if it takes one item after another, each in time", async () => {
    const { outbox, reader, clock, closed } = open();
    for (let item = 0; item < 5; item += 1) void outbox.push(item);
    for (let item = 0; item < 4; item += 1) {
      clock.advance(900);
      await reader.next();
    }
    assert.equal(closed(), 0);
    clock.advance(1000);
    assert.equal(closed(), 1);
  });

  test("is not saved by more items that come", () => {
    const { outbox, clock, closed } = open();
    for (let item = 0; item < 10; item += 1) {
      void outbox.push(item);
      clock.advance(100);
    }
    assert.equal(closed(), 1);
  });
});
