import assert from "node:assert/strict";
import { test } from "node:test";
import { createReadiness } from "../../src/engine/upkeep/readiness.ts";
import { createRegistry } from "../../src/metrics/registry.ts";
import { observeServer } from "../../src/server/metrics.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { untraced } from "../support/samples.ts";

test("each reason why the server is not ready is 1 while it holds, however many pools share it, and 0 else", async () => {
  const registry = createRegistry(createFakeClock());
  const draining = new AbortController();
  let broken: readonly string[] = [];
  const readiness = createReadiness({
    ...{ draining: draining.signal, failed: new AbortController().signal },
    ...{ diskRefusal: () => undefined, brokenPools: () => broken, pausedPools: () => [] },
  });
  const others = {
    disk: { room: () => undefined },
    log: { lost: () => 0 },
    store: "memory",
    tracing: untraced,
  } as const;
  observeServer(registry, { ...others, readiness });
  const shown = async () => {
    const points = (await registry.collect()).find(({ name }) => name === "millpond.not_ready")?.points ?? [];
    return points.map((point) => [point.attributes["reason"], "value" in point ? point.value : null]);
  };
  const ready = [
    ["store_failed", 0],
    ["draining", 0],
    ["disk_full", 0],
    ["pool_broken", 0],
  ];
  assert.deepEqual(await shown(), ready);
  broken = ["cpu", "io"];
  draining.abort();
  assert.deepEqual(await shown(), [ready[0], ["draining", 1], ready[2], ["pool_broken", 1]]);
  broken = [];
  assert.deepEqual(await shown(), [ready[0], ["draining", 1], ready[2], ready[3]]);
});
