/** `WatchStats` without a transport: what a watch costs, and how many there may be. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createBacklog } from "../../src/engine/admit/backlog.ts";
import { createNumbers } from "../../src/engine/numbers.ts";
import { createStats } from "../../src/engine/watch/stats.ts";
import { MillpondError } from "../../src/errors.ts";
import type { WatchStatsResponse } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { createRegistry } from "../../src/metrics/registry.ts";
import { createStatsWatch, type StatsWatchParts } from "../../src/rpc/watch-stats.ts";
import { createFakeClock, turn } from "../support/fake-clock.ts";

function setUp(statsWatches = 10_000) {
  const clock = createFakeClock();
  let reads = 0;
  const counts = async () => {
    reads += 1;
    return { pools: [] };
  };
  const store = {
    counts,
    oldest: async () => [],
    eligible: async () => [],
    size: async () => ({ bytes: 0, freeBytes: 0 }),
  };
  const parts = {
    ...{ clock, stats: createStats(clock, createRegistry(clock)), limits: { statsWatches } },
    closing: new AbortController().signal,
    numbers: createNumbers({
      ...{
        store,
        clock,
        pools: [],
        running: () => 0,
        returning: () => 0,
        decisions: () => [],
        backlog: createBacklog(store, new Map()),
      },
      overrides: () => ({ pause: null, resize: null }),
    }),
    rateLimit: { rateOf: () => ({ perSecond: 0, burst: 0 }) },
    resources: { parts: () => [], permits: () => [] },
  } as unknown as StatsWatchParts;
  const watchStats = createStatsWatch(parts);

  /** A watch that is read as fast as it sends. */
  function watch(client: string, intervalMs = 100) {
    const hangUp = new AbortController();
    const snapshots: WatchStatsResponse[] = [];
    const read = async () => {
      const call = { client, signal: hangUp.signal, trace: {}, rpcSystem: "grpc" as const, deadlineAt: null };
      for await (const each of watchStats({ $typeName: "millpond.v1.WatchStatsRequest", intervalMs }, call)) {
        snapshots.push(each);
      }
    };
    const ended = read();
    ended.catch(() => undefined);
    return { snapshots, ended, hangUp: () => hangUp.abort() };
  }

  /** Lets so many milliseconds pass in steps of one, and everything happen that they bring. */
  async function pass(ms: number): Promise<void> {
    for (let step = 0; step < ms; step += 1) {
      clock.advance(1);
      await turn();
    }
  }
  return { watch, pass, reads: () => reads };
}

test("a hundred watches read the server's numbers at most 20 times a second", async () => {
  const { watch, pass, reads } = setUp();
  const watches: ReturnType<typeof watch>[] = [];
  for (let index = 0; index < 100; index += 1) {
    watches.push(watch(`client-${index}`));
    await pass(1); // each begins at another moment
  }
  const before = reads();
  await pass(1_000);

  assert.ok(reads() - before <= 20, `${reads() - before} reads in a second`);
  for (const { snapshots } of watches) assert.ok(snapshots.length >= 10, `${snapshots.length} snapshots`);
  assert.equal(watches[7]?.snapshots[0]?.snapshot?.client?.client, "client-7");
});

test("all watches together get at most a thousand snapshots a second", async () => {
  const { watch, pass } = setUp();
  const watches = Array.from({ length: 2_000 }, (_, index) => watch(`client-${index}`));
  await pass(1); // every one has its first
  const sent = () => watches.reduce((sum, { snapshots }) => sum + snapshots.length, 0);
  const before = sent();
  await pass(2_000);

  assert.equal(before, 2_000);
  assert.ok(sent() - before <= 2_000, `${sent() - before} snapshots in two seconds`);
  assert.ok(watches.every(({ snapshots }) => snapshots.length === 2));
});

test("a client that watches as much as it may is refused until one of its watches ends; others are not", async () => {
  const { watch, pass } = setUp(2);
  const [first] = [watch("ada"), watch("ada")];
  await pass(1);
  const error: unknown = await watch("ada").ended.catch((thrown: unknown) => thrown);
  const other = watch("ben");
  first?.hangUp();
  await pass(1);
  const next = watch("ada");
  await pass(1);

  assert.ok(error instanceof MillpondError);
  assert.deepEqual([error.reason, error.retryAfterMs], ["too_many_stats_watches", 1_000]);
  assert.match(error.message, /client "ada" has 2 WatchStats calls open/);
  assert.deepEqual([other.snapshots.length, next.snapshots.length], [1, 1]);
});
