/** What readers do when hints are lost, and while the store is unavailable. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createReadBudget } from "../../../src/engine/deliver/read-budget.ts";
import { createResultReaders, type ReadFrom } from "../../../src/engine/deliver/result-readers.ts";
import { refusal } from "../../../src/errors.ts";
import { createSignal, type Signal } from "../../../src/lifecycle.ts";
import { createMemoryStore } from "../../../src/store/memory.ts";
import { finish, newJobs } from "../../store/sample.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";
import { refusalOf } from "../admit/try-admission.ts";

const from: ReadFrom = { client: "ada", channel: "default", afterCursor: 0, stopAtEnd: false };

/** Readers of a store that nobody hints at. */
function open() {
  const clock = createFakeClock();
  const store = createMemoryStore();
  let isAway = false;
  let silent: Signal | undefined;
  const asked: number[] = [];
  const results: typeof store.results = async (request) => {
    asked.push(request.limit);
    await silent?.promise;
    if (isAway) throw refusal("store_unavailable", ["closed", 1_000], { retryAfterMs: 1_000 });
    return store.results(request);
  };
  const polling = { clock, everyMs: 1_000, random: () => 0 };
  const budget = createReadBudget(2 ** 25);
  const readers = createResultReaders({ results }, { maxPerClient: 3, maxBatchBytes: 2 ** 20, polling, budget });
  return {
    ...{ clock, store, readers, budget, asked },
    beSilent() {
      silent = createSignal();
      return () => silent?.fire();
    },
    /** Adds final jobs to the channel. */
    add: (count: number) => finish(store, newJobs(count)),
    goAway(isNow: boolean) {
      isAway = isNow;
    },
  };
}

const cursors = (results: readonly { readonly cursor: number }[]) => results.map(({ cursor }) => cursor);

test("a reader polls, and finds without any hint what is new", async () => {
  const { clock, readers, add } = open();
  const reader = await readers.open(from);
  const waiting = reader.next(10);
  await turn();
  await add(1);
  clock.advance(1_000);
  assert.deepEqual(cursors(await waiting), [1]);
  reader.close();
  assert.equal(clock.timers(), 1, "the timer that is set finds nobody");
  clock.advance(1_000);
  assert.equal(clock.timers(), 0);
});

test("a reader waits while the store is unavailable, and goes on by itself", async () => {
  const { clock, readers, add, goAway } = open();
  const reader = await readers.open(from);
  goAway(true);
  await add(1);
  readers.hint("ada", "default");
  const waiting = reader.next(10);
  for (let polls = 0; polls < 3; polls += 1) {
    await turn();
    clock.advance(1_000);
  }
  const refused = await refusalOf(readers.open(from));
  assert.deepEqual([refused.reason, refused.retryAfterMs], ["store_unavailable", 1_000]);
  goAway(false);
  await turn();
  clock.advance(1_000);
  assert.deepEqual(cursors(await waiting), [1]);
  goAway(true);
  readers.closeAll();
  assert.equal((await refusalOf(reader.next(10))).reason, "store_unavailable", "it ends, and cannot say with what");
  reader.close();
});

test("an acknowledgement of which no hint came is found by polling, also by who reads nothing", async () => {
  const { clock, store, readers, add } = open();
  await add(2);
  const told: number[] = [];
  const reader = await readers.open({ ...from, onAcknowledged: (cursor) => void told.push(cursor) });
  await reader.next(10);
  await store.ack([{ client: "ada", channel: "default", cursor: 2 }]);
  assert.deepEqual(told, []);
  clock.advance(1_000);
  await turn();
  assert.deepEqual(told, [2]);
  reader.close();
});

test("readers that wait ask for positions alone, once for each channel, and reserve nothing", async () => {
  const { clock, readers, budget, asked } = open();
  const following = await Promise.all([from, from, { ...from, channel: "other" }].map(readers.open));
  for (const reader of following) void reader.next(10);
  await turn();
  asked.length = 0;
  clock.advance(1_000);
  await turn();
  assert.deepEqual(asked, [0, 0]);
  assert.equal(budget.reservedBytes(), 0);
  for (const reader of following) reader.close();
});

test("one poll is under way at most, however long the store does not answer", async () => {
  const { clock, readers, asked, beSilent, add } = open();
  const following = await Promise.all([from, { ...from, channel: "other" }].map(readers.open));
  const waiting = following[0]?.next(10);
  await turn();
  await add(1);
  asked.length = 0;
  const answer = beSilent();
  for (let seconds = 0; seconds < 60; seconds += 1) {
    clock.advance(1_000);
    await turn();
  }
  assert.deepEqual(asked, [0, 0], "one for each channel");
  answer();
  assert.deepEqual(cursors((await waiting) ?? []), [1]);
  for (const reader of following) reader.close();
});
