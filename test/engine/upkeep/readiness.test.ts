import assert from "node:assert/strict";
import { test } from "node:test";
import { createReadiness } from "../../../src/engine/upkeep/readiness.ts";
import { type MillpondError, refusal } from "../../../src/errors.ts";

/** A server with a disk, pools, a door and a store, all of which the test holds in its hands. */
function open() {
  const [draining, failed] = [new AbortController(), new AbortController()];
  let full: MillpondError | undefined;
  let broken: readonly string[] = [];
  const readiness = createReadiness({
    ...{ draining: draining.signal, failed: failed.signal },
    ...{ diskRefusal: () => full, brokenPools: () => broken },
    pausedPools: () => [{ pool: "mail", by: "ops", since: "2026-11-30T03:00:00.000Z" }],
  });
  return {
    ...{ readiness, draining, failed },
    reasons: () => readiness.reasons().map(({ reason }) => reason),
    changed: () => readiness.changed(new AbortController().signal),
    fill(isFull: boolean) {
      full = isFull ? refusal("disk_full", [10, 256]) : undefined;
      readiness.update();
    },
    break(pools: readonly string[]) {
      broken = pools;
      readiness.update();
    },
  };
}

test("a server is ready until something keeps it from taking or running jobs, and again when that is over", async () => {
  const { readiness, reasons, changed, fill, break: breakPools } = open();
  assert.deepEqual(reasons(), []);
  assert.equal(readiness.paused()[0]?.pool, "mail", "a paused pool is a detail, and no reason");
  for (const [set, expected] of [
    [() => fill(true), ["disk_full"]],
    [() => breakPools(["cpu", "mail"]), ["disk_full", "pool_broken", "pool_broken"]],
    [() => fill(false), ["pool_broken", "pool_broken"]],
    [() => breakPools([]), []],
  ] as const) {
    const next = changed();
    set();
    await next;
    assert.deepEqual(reasons(), expected);
  }
});

test("each reason says what is wrong, and a broken pool is named", () => {
  const { readiness, fill, break: breakPools, draining, failed } = open();
  fill(true);
  breakPools(["mail"]);
  draining.abort();
  failed.abort(new Error("disk I/O error"));
  assert.deepEqual(
    readiness.reasons().map(({ reason, pool }) => [reason, pool]),
    [
      ["store_failed", undefined],
      ["draining", undefined],
      ["disk_full", undefined],
      ["pool_broken", "mail"],
    ],
  );
  const text = readiness
    .reasons()
    .map(({ message }) => message)
    .join("\n");
  for (const said of [/disk I\/O error/, /drains/, /10 MiB free/, /pool "mail" has no worker/])
    assert.match(text, said);
});

test("a drain and a failure of the store are noticed at once, and who hangs up is forgotten", async () => {
  for (const cause of ["draining", "failed"] as const) {
    const { changed, [cause]: controller } = open();
    const next = changed();
    controller.abort(new Error("a cause"));
    await next;
  }
  const hangUp = new AbortController();
  const { readiness } = open();
  const waits = readiness.changed(hangUp.signal);
  hangUp.abort();
  await waits;
  await readiness.changed(hangUp.signal);
});
