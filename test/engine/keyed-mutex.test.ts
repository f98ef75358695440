import assert from "node:assert/strict";
import { test } from "node:test";
import { createKeyedMutex } from "../../src/engine/keyed-mutex.ts";
import { turn } from "../support/fake-clock.ts";

function open() {
  const mutex = createKeyedMutex();
  const entered: string[] = [];
  const enter = async (who: string, name = "ada", signal = new AbortController().signal) => {
    const unlock = await mutex.lock(name, signal);
    entered.push(who);
    return unlock;
  };
  return { enter, entered };
}

test("one is in at a time, in the order in which they came", async () => {
  const { enter, entered } = open();
  const unlock = await enter("first");
  const second = enter("second");
  const third = enter("third");
  await turn();
  assert.deepEqual(entered, ["first"]);
  unlock();
  (await second)();
  (await third)();
  assert.deepEqual(entered, ["first", "second", "third"]);
  await enter("fourth");
});

test("callers of other keys do not wait", async () => {
  const { enter, entered } = open();
  await enter("first", "ada");
  await enter("second", "bob");
  assert.deepEqual(entered, ["first", "second"]);
});

test("who leaves twice lets one in", async () => {
  const { enter, entered } = open();
  const unlock = await enter("first");
  void enter("second");
  void enter("third");
  unlock();
  unlock();
  await turn();
  assert.deepEqual(entered, ["first", "second"]);
});

test("who gives up waiting is let go at once, holds nobody up, and lets nobody in", async () => {
  const { enter, entered } = open();
  const gone = new AbortController();
  const unlock = await enter("first");
  const second = enter("second", "ada", gone.signal);
  void enter("third");
  gone.abort();
  (await second)();
  await turn();
  assert.deepEqual(entered, ["first", "second"]);
  const late = await enter("late", "ada", gone.signal);
  late();
  await turn();
  assert.deepEqual(entered, ["first", "second", "late"]);
  unlock();
  await turn();
  assert.deepEqual(entered, ["first", "second", "late", "third"]);
});
