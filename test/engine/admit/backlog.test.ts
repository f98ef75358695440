import assert from "node:assert/strict";
import { test } from "node:test";
import { createBacklog } from "../../../src/engine/admit/backlog.ts";
import { createMemoryStore } from "../../../src/store/memory.ts";
import { newJobs, submit } from "../../store/sample.ts";

const limits = new Map([
  ["cpu", 3],
  ["io", 1],
]);

test("a pool takes exactly as many reservations as its limit", () => {
  const backlog = createBacklog(createMemoryStore(), limits);
  const taken = Array.from({ length: 5 }, () => backlog.reserve("cpu"));
  assert.deepEqual(taken, [true, true, true, false, false]);
  assert.equal(backlog.queued("cpu"), 3);
  assert.equal(backlog.reserve("io"), true, "another pool has room of its own");
});

test("room that is given back can be taken again", () => {
  const backlog = createBacklog(createMemoryStore(), limits);
  backlog.reserve("io");
  backlog.change("io", -1);
  assert.equal(backlog.reserve("io"), true);
});

test("retries may exceed the limit, and then nothing new is taken until they are gone", () => {
  const backlog = createBacklog(createMemoryStore(), limits);
  backlog.change("io", 2);
  assert.equal(backlog.queued("io"), 2);
  backlog.change("io", -1);
  assert.equal(backlog.reserve("io"), false);
  backlog.change("io", -1);
  assert.equal(backlog.reserve("io"), true);
});

test("load takes the numbers of the store and names the pools that are gone", async () => {
  const store = createMemoryStore();
  await submit(store, [...newJobs(2), ...newJobs(1, { pool: "old" })]);
  const backlog = createBacklog(store, limits);
  assert.deepEqual(await backlog.load(), ["old"]);
  assert.equal(backlog.queued("cpu"), 2);
  assert.equal(backlog.reserve("cpu"), true);
  assert.equal(backlog.reserve("cpu"), false);
});

test("a pool that is not configured is named although its jobs were given back before", async () => {
  const store = createMemoryStore();
  await submit(store, newJobs(1, { pool: "old" }));
  const backlog = createBacklog(store, limits);
  backlog.change("old", 1);
  assert.deepEqual(await backlog.load(), ["old"]);
});

test("a pool that is not configured has room for nothing", () => {
  assert.equal(createBacklog(createMemoryStore(), limits).reserve("nowhere"), false);
});

test("what another server submitted and is leased here makes no negative number, and no room", async () => {
  const backlog = createBacklog(createMemoryStore(), limits);
  backlog.change("io", -4);
  assert.equal(backlog.queued("io"), 0);
  await backlog.load();
  assert.equal(backlog.reserve("io"), true);
  assert.equal(backlog.reserve("io"), false);
});

test("load empties a pool of which the store knows nothing", async () => {
  const backlog = createBacklog(createMemoryStore(), limits);
  backlog.reserve("io");
  await backlog.load();
  assert.equal(backlog.queued("io"), 0);
});
