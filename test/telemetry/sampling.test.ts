import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { createRatio } from "../../src/telemetry/export.ts";
import { createBoundedSampler, createStandardSampler } from "../../src/telemetry/sampling.ts";
import { createFakeClock } from "../support/fake-clock.ts";

const traceId = "b".repeat(32);

suite("the server's own sampler", () => {
  test("follows the caller, whatever its bound", () => {
    const sampler = createBoundedSampler(0, createFakeClock());
    assert.deepEqual(
      [true, false].map((isSampled) => sampler.follows(isSampled, traceId)),
      [true, false],
    );
    assert.equal(sampler.begins(traceId), false);
  });

  test("begins as many traces as its bound at once, and in each second after", () => {
    const clock = createFakeClock();
    const sampler = createBoundedSampler(10, clock);
    const begun = (jobs: number) => {
      sampler.refresh();
      return Array.from({ length: jobs }, () => sampler.begins(traceId)).filter(Boolean).length;
    };
    clock.advance(60_000);
    assert.equal(begun(100), 10);
    clock.advance(1);
    assert.equal(begun(100), 0);
    clock.advance(499);
    assert.equal(begun(100), 5);
    clock.advance(60_000);
    assert.equal(begun(100), 10);
  });
});

suite("a standard sampler", () => {
  const decisions = (name: Parameters<typeof createStandardSampler>[0]) => {
    const sampler = createStandardSampler(name, (id) => id === traceId);
    const followed = [sampler.follows(true, "a".repeat(32)), sampler.follows(false, traceId)];
    return [sampler.begins(traceId), sampler.begins("a".repeat(32)), ...followed];
  };

  test("decides by its name for those who begin and those who follow", () => {
    assert.deepEqual(decisions("always_on"), [true, true, true, true]);
    assert.deepEqual(decisions("always_off"), [false, false, false, false]);
    assert.deepEqual(decisions("traceidratio"), [true, false, false, true]);
    assert.deepEqual(decisions("parentbased_always_on"), [true, true, true, false]);
    assert.deepEqual(decisions("parentbased_always_off"), [false, false, true, false]);
    assert.deepEqual(decisions("parentbased_traceidratio"), [true, false, true, false]);
  });

  test("keeps about the configured ratio of traces, the same ones each time", () => {
    const isIn = createRatio(0.25);
    const ids = Array.from({ length: 4_000 }, () => crypto.randomUUID().replaceAll("-", ""));
    const kept = ids.filter(isIn);
    assert.ok(kept.length > 800 && kept.length < 1_200, `${kept.length} of 4000`);
    assert.deepEqual(ids.filter(isIn), kept);
  });
});
