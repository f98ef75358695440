import assert from "node:assert/strict";
import { test } from "node:test";
import type { Permits } from "../../../src/pool/resource.ts";
import { createConnections } from "../../../src/tasks/db/connections.ts";
import type { Connection } from "../../../src/tasks/db/work.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";

const never = new AbortController().signal;
const idleMs = 1000;

/** Connections that do nothing, and permits that are counted. */
function open(openOne?: () => Promise<Connection>, openMs = 0, keptMs = idleMs) {
  const clock = createFakeClock();
  const counts = { opened: 0, held: 0 };
  let want = () => {};
  const permits: Permits = {
    limit: 1,
    async acquire() {
      counts.held += 1;
      let isHeld = true;
      return {
        release() {
          if (isHeld) counts.held -= 1;
          isHeld = false;
        },
      };
    },
    onWanted(listener) {
      want = listener;
      return () => (want = () => {});
    },
  };
  const all: (Connection & { breakIt(): void })[] = [];
  const openNew = async () => {
    counts.opened += 1;
    clock.advance(openMs);
    const closed = Promise.withResolvers<void>();
    let isUsable = true;
    const end = () => {
      isUsable = false;
      closed.resolve();
    };
    const connection = {
      run: () => Promise.reject(new Error("no test runs it")),
      isUsable: () => isUsable,
      closed: closed.promise,
      close: async () => end(),
      breakIt: end,
    };
    all.push(connection);
    return connection;
  };
  const connections = createConnections({ open: openOne ?? openNew, permits, idleMs: keptMs, clock });
  const use = () => connections.use(never, (connection) => Promise.resolve(connection));
  /** A job that has its connection until `end`. */
  async function begin() {
    const got = Promise.withResolvers<Connection>();
    const over = Promise.withResolvers<void>();
    const ended = connections.use(never, async (connection) => {
      got.resolve(connection);
      await over.promise;
    });
    const end = async () => {
      over.resolve();
      await ended;
    };
    return { connection: await got.promise, end };
  }
  return { ...connections, use, begin, clock, counts, all, want: () => want() };
}

test("a connection is kept from job to job, and closed when it was idle for idleMs", async () => {
  const { use, clock, counts } = open();

  const first = await use();
  clock.advance(idleMs - 1);
  assert.equal(await use(), first);
  clock.advance(idleMs - 1);
  assert.deepEqual([first.isUsable(), counts], [true, { opened: 1, held: 1 }]);
  clock.advance(1);
  await turn();

  assert.deepEqual([first.isUsable(), counts.held], [false, 0]);
  assert.notEqual(await use(), first);
});

test("jobs that run at the same time have connections of their own", async () => {
  const { use, counts } = open();
  const [one, two] = await Promise.all([use(), use()]);
  assert.notEqual(one, two);
  assert.equal(counts.held, 2);
});

test("what is idle is closed when another thread waits, and what is in use is not", async () => {
  const { use, begin, want, counts } = open();
  const busy = await begin();
  const idle = await use();

  want();
  await turn();

  assert.deepEqual([idle.isUsable(), busy.connection.isUsable(), counts.held], [false, true, 1]);
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
  const { use, all, counts } = open();
  const first = await use();

  all[0]?.breakIt();
  await turn();

  assert.equal(counts.held, 0);
  assert.notEqual(await use(), first);
});

test("a connection that cannot be opened gives its permit back", async () => {
  const { use, counts } = open(() => Promise.reject(new Error("away")));
  await assert.rejects(use(), /away/);
  assert.equal(counts.held, 0);
});

test("closing closes what is idle at once, and what is in use when its job ends", async () => {
  const { use, begin, close, counts } = open();
  const busy = await begin();
  const idle = await use();

  await close();
  assert.deepEqual([idle.isUsable(), busy.connection.isUsable()], [false, true]);
  await busy.end();

  assert.deepEqual([busy.connection.isUsable(), counts.held], [false, 0]);
});
