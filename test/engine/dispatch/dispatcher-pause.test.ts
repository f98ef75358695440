import assert from "node:assert/strict";
import { test } from "node:test";
import { tryDispatcher } from "./try-dispatcher.ts";

test("a paused dispatcher starts nothing: what runs goes on, what waits for a worker is released, uncounted", async (t) => {
  const { dispatcher, put, rest, pool, settled, leased } = tryDispatcher(t, { workers: 1, maxChunk: 4 });
  await put(20);
  await dispatcher.start();
  await rest();
  pool.endAll(undefined, 0.1); // they are quick: more are leased than run
  await rest();
  const running = leased().map(({ seq }) => seq);
  const waited = dispatcher.waiting().map(({ seq }) => seq);
  assert.ok(waited.length > 0);
  settled.length = 0;

  dispatcher.setPaused(true);
  await rest();

  assert.equal(dispatcher.isPaused(), true);
  assert.deepEqual(
    settled.map(({ lease, outcome }) => [lease.seq, outcome.kind]),
    waited.map((seq) => [seq, "released"]),
  );
  assert.deepEqual(
    leased().map(({ seq }) => seq),
    running,
    "what runs goes on",
  );
  pool.endAll();
  await rest();
  assert.deepEqual(leased(), [], "and is the last");

  dispatcher.setPaused(false);
  await rest();

  assert.equal(leased()[0]?.attempt, 1, "the released attempts are not counted");
});

test("hints, polls and retries start nothing in a paused dispatcher, and a resume starts all that is due, at once", async (t) => {
  const { dispatcher, put, rest, asked, clock, leased } = tryDispatcher(t, { workers: 2 });
  dispatcher.setPaused(true);
  await dispatcher.start();
  await put(1);
  dispatcher.hint();
  dispatcher.hintAt(clock.now() + 10);
  clock.advance(60_000);
  await rest();
  assert.deepEqual([asked.length, leased().length], [0, 0]);

  dispatcher.setPaused(false);
  await rest();

  assert.equal(leased().length, 1);
});

test("a lease under way when the pause comes is released when it is answered", async (t) => {
  const { dispatcher, put, rest, holdAnswers, settled, leased, asked } = tryDispatcher(t, { workers: 2 });
  await put(2);
  const release = holdAnswers();
  await dispatcher.start();
  dispatcher.setPaused(true);
  release();
  await rest();
  assert.deepEqual(leased(), []);
  assert.deepEqual(
    settled.map(({ outcome }) => outcome.kind),
    ["released"],
  );
  const calls = asked.length;
  dispatcher.hint();
  await rest();
  assert.equal(asked.length, calls);
});

test("a pause takes back what waits behind a job in its chunk, and releases it at once", async (t) => {
  const { dispatcher, put, rest, pool, settled } = tryDispatcher(t, { workers: 1, maxChunk: 4 });
  await put(400);
  await dispatcher.start();
  for (await rest(); pool.held.length > 0; await rest()) pool.endAll(); // they are tiny, so chunks have several
  await put(8);
  dispatcher.hint();
  await rest();
  const [chunk] = pool.held;
  assert.ok(chunk && chunk.leases.length > 1);
  settled.length = 0;

  dispatcher.setPaused(true);
  assert.equal(dispatcher.running(), 1);
  await rest();

  assert.ok(settled.length >= chunk.leases.length - 1);
  assert.ok(settled.every(({ outcome }) => outcome.kind === "released"));
});

test("a paused dispatcher drains and stops once what it runs has ended", async (t) => {
  const { dispatcher, put, rest, pool } = tryDispatcher(t, { workers: 1 });
  await put(3);
  await dispatcher.start();
  await rest();
  dispatcher.setPaused(true);
  let hasStopped = false;
  const stopped = dispatcher.stop().then(() => (hasStopped = true));
  await rest();
  assert.equal(hasStopped, false);
  pool.endAll();
  await stopped;
  dispatcher.setPaused(false);
  await rest();
  assert.deepEqual(pool.held, [], "a resume after it starts nothing");
});
