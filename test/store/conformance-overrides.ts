import assert from "node:assert/strict";
import { noOverrides, type PoolPause, type PoolResize } from "../../src/store/pool-overrides.ts";
import type { Check } from "./conformance.ts";
import { leaseAll, newJobs, submit, t0 } from "./sample.ts";

const pause: PoolPause = { by: "ops", at: t0 };
const resize: PoolResize = { min: 0, max: 9, by: "ops", at: t0, configured: { min: 1, max: 4 } };

/** The part of the suite about what operators change of pools. */
export function overridesConformance(check: Check): void {
  check("a pause and a resize are kept side by side, per pool, until each is taken back", async (store) => {
    assert.deepEqual(await store.overrides(), new Map());
    const paused = { pause, resize: null };
    assert.deepEqual(await store.override({ pool: "cpu", pause }), { before: noOverrides, after: paused });
    const both = { pause, resize };
    assert.deepEqual(await store.override({ pool: "cpu", resize }), { before: paused, after: both });
    await store.override({ pool: "io", resize });
    assert.deepEqual(Object.fromEntries(await store.overrides()), { cpu: both, io: { pause: null, resize } });
    const resized = { pause: null, resize };
    assert.deepEqual(await store.override({ pool: "cpu", pause: null }), { before: both, after: resized });
    assert.deepEqual(await store.override({ pool: "cpu", resize: null }), { before: resized, after: noOverrides });
    assert.deepEqual([...(await store.overrides()).keys()], ["io"]);
  });

  check("a paused pool stays paused by whom it was first, and a resize replaces the one before", async (store) => {
    await store.override({ pool: "cpu", pause, resize });
    const later = { by: "someone else", at: t0 + 1 };
    const { after } = await store.override({ pool: "cpu", pause: later, resize: { ...resize, ...later, max: 5 } });
    assert.deepEqual(after, { pause, resize: { ...resize, ...later, max: 5 } });
    assert.deepEqual((await store.overrides()).get("cpu"), after);
  });

  check("of two pauses at once one is first, and both are told which", async (store) => {
    const [first, second] = await Promise.all([
      store.override({ pool: "cpu", pause }),
      store.override({ pool: "cpu", pause: { by: "someone else", at: t0 } }),
    ]);
    assert.deepEqual(first.after, second.after);
    assert.equal([first, second].filter(({ before }) => before.pause === null).length, 1);
  });

  check("the store itself leases the jobs of a paused pool all the same", async (store) => {
    await submit(store, newJobs(1));
    await store.override({ pool: "cpu", pause });
    assert.equal((await leaseAll(store)).length, 1, "it is the dispatcher that asks for none");
  });
}
