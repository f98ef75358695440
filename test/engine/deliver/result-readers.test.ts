import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createReadBudget } from "../../../src/engine/deliver/read-budget.ts";
import { createResultReaders, maxBatch, type ReadFrom } from "../../../src/engine/deliver/result-readers.ts";
import { createMemoryStore } from "../../../src/store/memory.ts";
import { data, finish, newJobs, pruneAcknowledged } from "../../store/sample.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";
import { refusalOf } from "../admit/try-admission.ts";

const polling = { clock: createFakeClock(), everyMs: 1_000, random: () => 0 };
const from: ReadFrom = { client: "ada", channel: "default", afterCursor: 0, stopAtEnd: false };

function open(maxPerClient = 3) {
  const store = createMemoryStore();
  const readers = createResultReaders(store, {
    maxPerClient,
    maxBatchBytes: 2 ** 20,
    budget: createReadBudget(2 ** 25),
    polling,
  });
  return {
    store,
    readers,
    /** Adds final jobs to the channel. */
    add: (count: number, outputBytes = 1) => finish(store, newJobs(count), { output: data(outputBytes) }),
    hint: () => readers.hint("ada", "default"),
  };
}

const cursors = (results: readonly { readonly cursor: number }[]) => results.map(({ cursor }) => cursor);

/** Whether a promise is settled once everything that could run has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.finally(() => {
    settled = true;
  });
  await turn();
  return settled;
}

describe("a reader", () => {
  test("gives results in order, at most as many as asked for, and remembers where it is", async () => {
    const { readers, add } = open();
    await add(5);
    const reader = await readers.open(from);
    assert.deepEqual(cursors(await reader.next(2)), [1, 2]);
    assert.deepEqual(cursors(await reader.next(10)), [3, 4, 5]);
    assert.equal(reader.cursor(), 5);
  });

  test("resumes after the cursor it is given", async () => {
    const { readers, add } = open();
    await add(5);
    const reader = await readers.open({ ...from, afterCursor: 3 });
    assert.equal(reader.cursor(), 3);
    assert.deepEqual(cursors(await reader.next(10)), [4, 5]);
  });

  test("refuses a cursor from the future, and holds no reservation for it", async () => {
    const { readers, add } = open();
    await add(2);
    const { reason, message } = await refusalOf(readers.open({ ...from, afterCursor: 3 }));
    assert.equal(reason, "cursor_from_the_future");
    assert.match(message, /cursor 3 .* channel "default", whose newest result is 2/);
    assert.equal(readers.count(), 0);
    assert.equal((await readers.open({ ...from, afterCursor: 2 })).cursor(), 2);
  });

  test("waits at the end for the next hint", async () => {
    const { readers, add, hint } = open();
    const reader = await readers.open(from);
    const waiting = reader.next(10);
    assert.equal(await isSettled(waiting), false);
    await add(1);
    hint();
    assert.deepEqual(cursors(await waiting), [1]);
  });

  test("goes on waiting when a hint came for nothing", async () => {
    const { readers, hint } = open();
    const reader = await readers.open(from);
    const waiting = reader.next(10);
    for (let hints = 0; hints < 5; hints += 1) {
      hint();
      assert.equal(await isSettled(waiting), false);
    }
    reader.close();
    assert.deepEqual(await waiting, []);
  });

  test("catches up with the next hint when one was lost", async () => {
    const { readers, add, hint } = open();
    const reader = await readers.open(from);
    const waiting = reader.next(10);
    await turn();
    await add(2); // nobody says so
    await add(1);
    hint();
    assert.deepEqual(cursors(await waiting), [1, 2, 3]);
  });

  test("looks again when a hint came while it was reading", async () => {
    const { store, add } = open();
    let isReading = false;
    const readers = createResultReaders(
      {
        async results(request) {
          const answer = await store.results(request);
          if (isReading) {
            isReading = false;
            await add(1);
            readers.hint("ada", "default");
          }
          return answer; // what was there before
        },
      },
      { maxPerClient: 1, maxBatchBytes: 2 ** 20, polling, budget: createReadBudget(2 ** 25) },
    );
    const reader = await readers.open(from);
    isReading = true;
    assert.deepEqual(cursors(await reader.next(10)), [1]);
  });

  test("reads on without a hint where a batch was cut by its bytes", async () => {
    const { readers, add } = open();
    await add(5, 30 * 1024);
    const reader = await readers.open(from);
    assert.deepEqual(cursors(await reader.next(10)), [1, 2]);
    assert.deepEqual(cursors(await reader.next(10)), [3, 4, 5]);
    assert.equal(await isSettled(reader.next(10)), false);
    reader.close();
  });

  test("begins with small batches, which grow to the bound while there is more, and are small again at the end", async () => {
    const { readers, add, hint } = open();
    await add(60, 50 * 1024);
    const reader = await readers.open(from);
    const sizes = [];
    for (let left = 60; left > 0; left -= sizes.at(-1) ?? left) sizes.push((await reader.next(100)).length);
    assert.deepEqual(sizes, [1, 2, 5, 10, 20, 20, 2]);
    await add(4, 50 * 1024);
    hint();
    assert.equal((await reader.next(100)).length, 1);
    reader.close();
  });

  test("gives a result that is larger than a batch alone", async () => {
    const { readers, add } = open();
    await add(2, 2 * 1024 * 1024);
    const reader = await readers.open(from);
    assert.deepEqual(cursors(await reader.next(10)), [1]);
    assert.deepEqual(cursors(await reader.next(10)), [2]);
  });

  test("never gives more than a batch, whatever is asked for", async () => {
    const { readers, add } = open();
    await add(maxBatch + 10);
    const reader = await readers.open(from);
    assert.equal((await reader.next(10_000)).length, maxBatch);
    assert.equal((await reader.next(10_000)).length, 10);
  });

  test("skips what is acknowledged or pruned, and waits at the end of it", async () => {
    const { readers, store, add, hint } = open();
    await add(4);
    await store.ack([{ client: "ada", channel: "default", cursor: 2 }]);
    const reader = await readers.open(from);
    assert.deepEqual(cursors(await reader.next(10)), [3, 4]);
    await store.ack([{ client: "ada", channel: "default", cursor: 4 }]);
    await store.prune(pruneAcknowledged);
    const late = await readers.open(from);
    const waiting = late.next(10);
    assert.equal(await isSettled(waiting), false);
    await add(1);
    hint();
    assert.deepEqual(cursors(await waiting), [5]);
  });
});

describe("stopAtEnd", () => {
  test("gives what is there and then nothing", async () => {
    const { readers, add } = open();
    await add(3);
    const reader = await readers.open({ ...from, stopAtEnd: true });
    assert.deepEqual(cursors(await reader.next(2)), [1, 2]);
    assert.deepEqual(cursors(await reader.next(2)), [3]);
    assert.deepEqual(await reader.next(2), []);
  });

  test("ends at once on a channel that never had a result", async () => {
    const { readers } = open();
    assert.deepEqual(await (await readers.open({ ...from, channel: "unheard", stopAtEnd: true })).next(2), []);
  });
});

describe("reservations", () => {
  test("each client has so many, over all its channels", async () => {
    const { readers } = open(2);
    await readers.open(from);
    const second = await readers.open({ ...from, channel: "other" });
    const { reason, retryAfterMs } = await refusalOf(readers.open({ ...from, channel: "third" }));
    assert.equal(reason, "too_many_streams");
    assert.equal(retryAfterMs, 1000);
    await readers.open({ ...from, client: "bob" });
    assert.equal(readers.count(), 3);
    second.close();
    second.close();
    assert.equal(readers.count(), 2);
    await readers.open({ ...from, channel: "third" });
  });

  test("hints reach the readers of that client and channel, all of them, and no others", async () => {
    const { readers, add, hint } = open();
    const mine = await Promise.all([readers.open(from), readers.open(from)]);
    const others = await Promise.all([
      readers.open({ ...from, channel: "x" }),
      readers.open({ ...from, client: "bob" }),
    ]);
    const waiting = mine.map((reader) => reader.next(10));
    const untouched = others.map((reader) => reader.next(10));
    await turn();
    await add(1);
    hint();
    assert.deepEqual((await Promise.all(waiting)).map(cursors), [[1], [1]]);
    assert.equal(await isSettled(Promise.race(untouched)), false);
    for (const reader of others) reader.close();
  });
});

describe("the read budget", () => {
  const kib = 1024;
  function openBudget(budgetBytes: number) {
    const store = createMemoryStore();
    const budget = createReadBudget(budgetBytes);
    const readers = createResultReaders(store, { maxPerClient: 100, maxBatchBytes: 2 ** 20, polling, budget });
    const add = (count: number, outputBytes: number) => finish(store, newJobs(count), { output: data(outputBytes) });
    return { store, budget, readers, add };
  }

  test("readers that do not go on hold no more than its half, and others wait with nothing until one ends", async () => {
    const { budget, readers, add } = openBudget(1_000 * kib);
    await add(4, 60 * kib);
    const opened = await Promise.all(Array.from({ length: 20 }, () => readers.open(from)));
    const batches = opened.map((reader) => reader.next(10));
    const settled = await Promise.all(batches.map(isSettled));
    assert.ok(
      budget.reservedBytes() > 400 * kib && budget.reservedBytes() <= 500 * kib,
      `${budget.reservedBytes()} bytes are held`,
    );
    const waiting = settled.indexOf(false);
    assert.ok(waiting > 0, settled.join());
    opened[0]?.close();
    assert.deepEqual(cursors((await batches[waiting]) ?? []), [1]);
    for (const reader of opened) reader.close();
    await Promise.all(batches);
    assert.equal(budget.reservedBytes(), 0);
  });

  test("who asks for the next batch has given back the last one's, and holds nothing while it waits for a hint", async () => {
    const { budget, readers, add } = openBudget(1_000 * kib);
    await add(3, 60 * kib);
    const reader = await readers.open(from);
    await reader.next(10);
    const one = budget.reservedBytes();
    assert.ok(one >= 60 * kib && one < 64 * kib);
    assert.deepEqual(cursors(await reader.next(10)), [2, 3]);
    assert.equal(budget.reservedBytes(), 2 * one);
    const idle = reader.next(10);
    await turn();
    assert.equal(budget.reservedBytes(), 0);
    reader.close();
    await idle;
  });

  test("who has passed on a batch holds nothing, also while it asks for no more", async () => {
    const { budget, readers, add } = openBudget(1_000 * kib);
    await add(1, 60 * kib);
    const reader = await readers.open(from);
    await reader.next(10);
    assert.ok(budget.reservedBytes() >= 60 * kib);
    reader.passedOn();
    reader.passedOn();
    assert.equal(budget.reservedBytes(), 0);
    reader.close();
  });

  test("a result that is larger than what was asked for waits until there is room for all of it, and is not passed over", async () => {
    const { budget, readers, add } = openBudget(1_000 * kib);
    await add(1, 400 * kib);
    const [first, second] = [await readers.open(from), await readers.open(from)];
    assert.deepEqual(cursors(await first.next(10)), [1]);
    const waiting = second.next(10);
    assert.equal(await isSettled(waiting), false);
    assert.ok(budget.reservedBytes() <= 500 * kib);
    first.close();
    assert.deepEqual(cursors(await waiting), [1]);
  });

  test("a client that reads is served while another one's readers hold all they may", async () => {
    const { store, readers, add } = openBudget(1_000 * kib);
    await add(4, 60 * kib);
    const stuck = await Promise.all(Array.from({ length: 20 }, () => readers.open(from)));
    for (const reader of stuck) void reader.next(10);
    await turn();
    await finish(store, newJobs(20, { client: "bob" }), { output: data(60 * kib) });
    const reader = await readers.open({ ...from, client: "bob" });
    for (let read = 0; read < 20; read = reader.cursor()) assert.ok((await reader.next(10)).length > 0);
    for (const each of stuck) each.close();
  });

  test("a reader that is closed while the store answers it takes no room afterwards", async () => {
    const { store, budget, add } = openBudget(1_000 * kib);
    await add(1, 60 * kib);
    const { promise, resolve } = Promise.withResolvers<void>();
    let isHeld = false;
    const results: typeof store.results = async (request) => {
      const answer = await store.results(request);
      if (isHeld) await promise;
      return answer;
    };
    const readers = createResultReaders({ results }, { maxPerClient: 1, maxBatchBytes: 2 ** 20, polling, budget });
    const reader = await readers.open(from);
    isHeld = true;
    const next = reader.next(10);
    await turn();
    reader.close();
    resolve();
    assert.deepEqual(await next, []);
    assert.equal(budget.reservedBytes(), 0);
  });
});

describe("acknowledgements", () => {
  test("made anywhere reach every reader of that channel, and no other", async () => {
    const { readers } = open(5);
    const told: string[] = [];
    const openAs = (name: string, where: Partial<ReadFrom> = {}) =>
      readers.open({ ...from, ...where, onAcknowledged: (cursor) => void told.push(`${name} ${cursor}`) });
    const [gone] = [await openAs("gone"), await openAs("one"), await openAs("two")];
    await openAs("channel", { channel: "x" });
    await openAs("client", { client: "bob" });
    await readers.open(from); // one that does not ask
    gone.close();
    readers.acknowledged("ada", "default", 7);
    assert.deepEqual(told, ["one 7", "two 7"]);
  });
});

describe("closeAll", () => {
  test("a reader that is opened afterwards hands out what there is and ends", async () => {
    const { readers, add } = open();
    await add(1);
    readers.closeAll();
    const late = await readers.open(from);
    assert.deepEqual(cursors(await late.next(10)), [1]);
    assert.deepEqual(await late.next(10), []);
  });

  test("readers hand out the rest first, then end, also those that wait", async () => {
    const { readers, add } = open();
    const waiting = await readers.open({ ...from, channel: "quiet" });
    const idle = waiting.next(10);
    await add(3);
    const reader = await readers.open(from);
    assert.deepEqual(cursors(await reader.next(2)), [1, 2]);
    await add(1); // without a hint
    readers.closeAll();
    assert.deepEqual(await idle, []);
    assert.deepEqual(cursors(await reader.next(10)), [3, 4]);
    assert.deepEqual(await reader.next(10), []);
  });
});

test("a store that fails fails the reading", async () => {
  const { readers, store } = open();
  const reader = await readers.open(from);
  await store.close();
  assert.equal((await refusalOf(reader.next(1))).reason, "store_failed");
  assert.equal((await refusalOf(readers.open(from))).reason, "store_failed");
  assert.equal(readers.count(), 1);
});
