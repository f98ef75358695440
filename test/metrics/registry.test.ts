import assert from "node:assert/strict";
import { test } from "node:test";
import { type Collected, createRegistry, maxSeries } from "../../src/metrics/registry.ts";
import type { MetricName } from "../../src/metrics/table.ts";
import { createFakeClock, turn } from "../support/fake-clock.ts";

function open() {
  const clock = createFakeClock();
  const registry = createRegistry(clock);
  const pointsOf = (all: readonly Collected[], name: MetricName) =>
    all.find((each) => each.name === name)?.points ?? [];
  const collect = async (name: MetricName) => pointsOf(await registry.collect(), name);
  return { clock, registry, collect, pointsOf };
}

test("a counter is one series for the same attributes, whoever asks", async () => {
  const { registry, collect } = open();
  registry.counter("millpond.jobs.refused", { reason: "queue_full" }).value += 2;
  registry.counter("millpond.jobs.refused", { reason: "queue_full" }).value += 3;
  registry.counter("millpond.jobs.refused", { reason: "disk_full" }).value += 1;
  assert.deepEqual(await collect("millpond.jobs.refused"), [
    { attributes: { reason: "queue_full" }, value: 5 },
    { attributes: { reason: "disk_full" }, value: 1 },
  ]);
});

test("a histogram counts each value once, in the first bucket whose bound is not below it", async () => {
  const { registry, collect } = open();
  const histogram = registry.histogram("v8js.gc.duration", { "v8js.gc.type": "minor" });
  for (const value of [0, 0.01, 0.011, 0.5, 10, 11]) histogram.record(value);
  const [point] = await collect("v8js.gc.duration");
  assert.ok(point && "counts" in point);
  assert.deepEqual(point.counts, [2, 1, 1, 1, 1]);
  assert.deepEqual([point.count, point.sum], [6, 21.521]);
});

test("what is read by callback is read at each collection", async () => {
  const { registry, collect } = open();
  let depth = 7;
  registry.observed((observe) => observe("millpond.queue.depth", depth, { pool: "cpu" }));
  registry.observed(async (observe) => observe("millpond.store.size", 9));
  assert.deepEqual(await collect("millpond.queue.depth"), [{ attributes: { pool: "cpu" }, value: 7 }]);
  depth = 8;
  assert.deepEqual(await collect("millpond.queue.depth"), [{ attributes: { pool: "cpu" }, value: 8 }]);
  assert.deepEqual(await collect("millpond.store.size"), [{ attributes: {}, value: 9 }]);
});

test("a reader that throws, or a store that failed, costs its own numbers only", async () => {
  const { registry, pointsOf } = open();
  registry.observed(() => {
    throw new Error("no luck");
  });
  registry.observed(() => Promise.reject(new Error("the store failed")));
  registry.observed((observe) => observe("millpond.queue.depth", 7, { pool: "cpu" }));
  assert.equal(pointsOf(await registry.collect(), "millpond.queue.depth").length, 1);
});

test("a reader that never answers holds a collection up for a second, and what it says later is lost", async () => {
  const { registry, clock, pointsOf } = open();
  let late = () => {};
  registry.observed(async (observe) => {
    await new Promise<void>((resolve) => {
      late = resolve;
    });
    observe("millpond.store.size", 9);
  });
  registry.observed((observe) => observe("millpond.queue.depth", 7, { pool: "cpu" }));
  const collected = registry.collect();
  await turn();
  clock.advance(1_000);
  const all = await collected;
  late();
  await turn();
  assert.equal(pointsOf(all, "millpond.queue.depth").length, 1);
  assert.deepEqual(pointsOf(all, "millpond.store.size"), []);
});

test("names that others choose cannot grow a metric: beyond its bound they share one series that says so", async () => {
  const { registry, collect } = open();
  for (let reason = 0; reason < maxSeries + 500; reason += 1) {
    registry.counter("millpond.jobs.refused", { reason: `reason ${reason}` }).value += 1;
  }
  registry.observed((observe) => {
    for (let pool = 0; pool < maxSeries + 500; pool += 1) observe("millpond.queue.depth", 1, { pool: `pool ${pool}` });
  });
  const refused = await collect("millpond.jobs.refused");
  assert.equal(refused.length, maxSeries + 1);
  assert.deepEqual(refused.at(-1), { attributes: { "otel.metric.overflow": "true" }, value: 500 });
  assert.equal((await collect("millpond.queue.depth")).length, maxSeries);
});
