import assert from "node:assert/strict";
import { test } from "node:test";
import { type Connection, createConnections } from "../../../src/tasks/connections/connections.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";
import { createTestPermits } from "../../support/permits.ts";

const never = new AbortController().signal;
const idleMs = 1000;

/** Connections that do nothing, and permits that are counted. */
function open(openOne?: () => Promise<Connection>, openMs = 0, keptMs = idleMs, limit?: number) {
  const clock = createFakeClock();
  const permits = createTestPermits(limit);
  let opened = 0;
  const all: (Connection & { breakIt(): void })[] = [];
  const openNew = async () => {
    opened += 1;
    clock.advance(openMs);
    const closed = Promise.withResolvers<void>();
    let isUsable = true;
    const end = () => {
      isUsable = false;
      closed.resolve();
    };
    const connection = {
      isUsable: () => isUsable,
      closed: closed.promise,
      close: async () => end(),
      breakIt: end,
    };
    all.push(connection);
    return connection;
  };
  const connections = createConnections({ permits, idleMs: keptMs, clock });
  const take = async () =>
    connections.takeIdle() ?? (await connections.open(await permits.acquire(never), openOne ?? openNew));
  /** A job that is over at once. */
  async function use() {
    const connection = await take();
    await connections.release(connection);
    return connection;
  }
  /** A job that has its connection until `end`. */
  async function begin() {
    const connection = await take();
    return { connection, end: () => connections.release(connection) };
  }
  return { ...connections, use, begin, clock, all, opened: () => opened, held: permits.held, want: permits.want };
}

test("a connection is kept from job to job, and closed when it was idle for idleMs", async () => {
  const { use, clock, opened, held } = open();

  const first = await use();
  clock.advance(idleMs - 1);
  assert.equal(await use(), first);
  clock.advance(idleMs - 1);
  assert.deepEqual([first.isUsable(), opened(), held()], [true, 1, 1]);
  clock.advance(1);
  await turn();

  assert.deepEqual([first.isUsable(), held()], [false, 0]);
  assert.notEqual(await use(), first);
});

test("jobs that run at the same time have connections of their own", async () => {
  const { use, held } = open();
  const [one, two] = await Promise.all([use(), use()]);
  assert.notEqual(one, two);
  assert.equal(held(), 2);
});

test("what is idle is closed when another thread waits, and what is in use is not", async () => {
  const { use, begin, want, held } = open();
  const busy = await begin();
  const idle = await use();

  want();
  await turn();

  assert.deepEqual([idle.isUsable(), busy.connection.isUsable(), held()], [false, true, 1]);
  await busy.end();
  assert.equal(await use(), busy.connection);
});

test("one that was dear to open is not handed on before it has been open for ten times as long", async () => {
  const { use, want, clock } = open(undefined, 20);
  const connection = await use();

  clock.advance(199);
  want();
  assert.equal(connection.isUsable(), true);
  clock.advance(1);
  want();
  await turn();

  assert.equal(connection.isUsable(), false);
});

test("one that took very long to open is handed on after ten seconds all the same", async () => {
  const { use, want, clock } = open(undefined, 5_000, 60_000);
  const connection = await use();

  clock.advance(9_999);
  want();
  assert.equal(connection.isUsable(), true);
  clock.advance(1);
  want();
  await turn();

  assert.equal(connection.isUsable(), false);
});

test("a connection that broke is not used again, and gives its permit back", async () => {
  const { use, all, held } = open();
  const first = await use();

  all[0]?.breakIt();
  await turn();

  assert.equal(held(), 0);
  assert.notEqual(await use(), first);
});

test("a connection that cannot be opened gives its permit back", async () => {
  const { use, held } = open(() => Promise.reject(new Error("away")));
  await assert.rejects(use(), /away/);
  assert.equal(held(), 0);
});

test("closing closes what is idle at once, and what is in use when its job ends", async () => {
  const { use, begin, close, held } = open();
  const busy = await begin();
  const idle = await use();

  await close();
  assert.deepEqual([idle.isUsable(), busy.connection.isUsable()], [false, true]);
  await busy.end();

  assert.deepEqual([busy.connection.isUsable(), held()], [false, 0]);
});

test("jobs of a thread that wait get the connections that others give back, the first in front, and open none", async () => {
  const { begin, next, release, opened, held } = open(undefined, 0, idleMs, 1);
  const { connection, end } = await begin();
  const got: number[] = [];
  const jobs = [1, 2, 3].map(async (job) => {
    const handed = await next(never);
    assert.ok("connection" in handed && handed.connection === connection);
    got.push(job);
    await release(handed.connection);
  });
  await end();
  await Promise.all(jobs);
  assert.deepEqual([got, opened(), held()], [[1, 2, 3], 1, 1]);
});

test("a job that stops waiting gets no connection, and takes none from those behind it", async () => {
  const { begin, next } = open(undefined, 0, idleMs, 1);
  const { connection, end } = await begin();
  const stop = new AbortController();
  const stopped = next(stop.signal);
  const behind = next(never);
  stop.abort(new Error("asked to stop"));
  await assert.rejects(stopped, /asked to stop/);
  await end();
  assert.deepEqual(await behind, { connection });
});

for (const [ago, ageMs, isClosed] of [
  ["just now", 999, true],
  ["a while ago, and waits no longer", 1_000, false],
] as const) {
  test(`a connection that a job of the thread waits for is ${isClosed ? "closed" : "kept"} where another thread asked for it ${ago}`, async () => {
    const { begin, next, want, clock } = open(undefined, 0, idleMs, 1);
    const { connection, end } = await begin();
    want();
    clock.advance(ageMs);
    const handed = next(never);
    await end();
    assert.equal(connection.isUsable(), !isClosed);
    assert.equal("connection" in (await handed), !isClosed);
  });
}
