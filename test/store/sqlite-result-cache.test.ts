/** Results that are read from memory: no reader sees a difference from those that are read from their rows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Channel } from "../../src/store/sqlite/channels/channels.ts";
import { createResultCache, type CacheBounds } from "../../src/store/sqlite/channels/result-cache.ts";
import { open, useFolder } from "./damaged-store.ts";
import { data, finish, newJobs, t0 } from "./sample.ts";

useFolder();

const noBound = 1e6;
const encode = (text: string) => new TextEncoder().encode(text);

/** Channels to which each call of `add` appends one ending. */
function cacheOf(bounds?: CacheBounds) {
  const cache = createResultCache(bounds);
  const channels = new Map<number, Channel>();
  const channel = (id: number): Channel => {
    const known = channels.get(id) ?? {
      ...{ id, client: 1, name: "c", last: 0 },
      ...{ acked: 0, swept: 0, head: null },
    };
    channels.set(id, known);
    return known;
  };
  return {
    cache,
    add(id: number, ...texts: string[]) {
      for (const text of texts) {
        channel(id).last += 1;
        cache.add(channel(id), encode(text));
      }
    },
    take(id: number, after: number, limit = noBound, maxBytes = noBound) {
      const taken = cache.take(channel(id), after, limit, maxBytes);
      return taken && [taken.cursors, Buffer.concat(taken.endings).toString(), taken.sizes];
    },
  };
}

test("endings are given once, in their order, with their positions", () => {
  const { add, take } = cacheOf();
  add(1, "a", "bb");
  assert.deepEqual(take(1, 0), [[1, 2], "abb", [1, 2]]);
  assert.equal(take(1, 0), undefined);
  assert.equal(take(1, 2), undefined);
  add(1, "ccc");
  assert.deepEqual(take(1, 2), [[3], "ccc", [3]]);
});

test("what is left behind a limit or a bound on bytes comes with the next call", () => {
  const { add, take } = cacheOf();
  add(1, "aa", "bb", "cc", "dddd");
  assert.deepEqual(take(1, 0, 1), [[1], "aa", [2]]);
  assert.deepEqual(take(1, 1, noBound, 5), [[2, 3], "bbcc", [2, 2]]);
  add(1, "e");
  assert.deepEqual(take(1, 3, noBound, 1), [[4], "dddd", [4]], "a first one that is larger comes alone");
  assert.deepEqual(take(1, 4), [[5], "e", [1]]);
});

test("a reader that is ahead skips endings, one that is behind reads rows", () => {
  const { add, take } = cacheOf();
  add(1, "a", "b", "c");
  assert.deepEqual(take(1, 1), [[2, 3], "bc", [1, 1]]);
  add(1, "d");
  assert.equal(take(1, 2), undefined, "position 3 was given before");
  assert.deepEqual(take(1, 3), [[4], "d", [1]]);
});

test("channels have endings of their own, and discarded results none", () => {
  const { cache, add, take } = cacheOf();
  add(1, "a");
  add(2, "b");
  cache.add({ ...{ id: 3, client: 1, name: null, last: 1 }, ...{ acked: 1, swept: 0, head: null } }, encode("c"));
  assert.equal(take(3, 0), undefined);
  assert.deepEqual(take(2, 0), [[1], "b", [1]]);
  assert.deepEqual(take(1, 0), [[1], "a", [1]]);
});

test("beyond the bound of a channel its endings are read from rows, up to the next that is written", () => {
  const { add, take } = cacheOf({ perChannel: 1024, total: 4096 });
  add(1, "x".repeat(600), "y".repeat(600));
  assert.equal(take(1, 0), undefined);
  add(1, "z");
  assert.equal(take(1, 1), undefined);
  assert.deepEqual(take(1, 2), [[3], "z", [1]]);
});

test("beyond the bound of all channels the other channels' endings are read from rows", () => {
  const { add, take } = cacheOf({ perChannel: 1024, total: 1024 });
  add(1, "a");
  add(2, "b".repeat(400), "b".repeat(400));
  assert.equal(take(1, 0), undefined);
  assert.equal((take(2, 0) as unknown[])[1], "b".repeat(800));
  add(3, "c");
  assert.deepEqual(take(3, 0), [[1], "c", [1]]);
});

test("endings that are read and written in turn keep their buffer small", () => {
  const { add, take } = cacheOf({ perChannel: 1024, total: 1024 });
  for (let cursor = 0; cursor < 1000; cursor += 1) {
    add(1, "0123456789");
    assert.deepEqual(take(1, cursor), [[cursor + 1], "0123456789", [10]]);
  }
});

test("endings whose reader stays one behind are found in memory for ever", () => {
  const { add, take } = cacheOf({ perChannel: 1024, total: 1024 });
  add(1, "first");
  for (let cursor = 0; cursor < 1000; cursor += 1) {
    add(1, String(cursor));
    assert.ok(take(1, cursor, 1), `position ${cursor + 1}`);
  }
});

test("the store gives the same results from memory and from rows", async () => {
  const store = await open();
  await finish(store, newJobs(5), { output: data("one") });
  const read = (afterCursor: number, limit: number) =>
    store.results({ client: "ada", channel: "default", afterCursor, limit, maxBytes: noBound });
  const fromMemory = await read(0, 3);
  assert.deepEqual(await read(0, 3), fromMemory, "the second time they come from rows");
  assert.equal(fromMemory.results.length, 3);
  const rest = await read(3, 256);
  assert.deepEqual(await read(3, 256), rest);
  assert.deepEqual(
    rest.results.map(({ cursor }) => cursor),
    [4, 5],
  );
  await store.close();
});

test("results that retention removed are not in memory either", async () => {
  const store = await open();
  await finish(store, newJobs(2), { output: data("one") });
  const all = { jobs: noBound, bytes: noBound };
  const before = t0 + 1_000_000;
  const bounds = { acknowledgedBefore: before, unacknowledgedBefore: before, deadBefore: before };
  assert.equal(await store.prune({ now: before, ...bounds, maxFinished: all, maxDead: all, limit: 10 }), 2);
  const { results } = await store.results({
    client: "ada",
    channel: "default",
    afterCursor: 0,
    limit: 9,
    maxBytes: 1e6,
  });
  assert.deepEqual(results, []);
  await store.close();
});
