import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { createProbes } from "../../../src/pool/resources/probes.ts";
import type { ToThread } from "../../../src/pool/resources/protocol.ts";
import { createFakeClock } from "../../support/fake-clock.ts";

/** Threads that say what they were asked for, and a resource whose health the test decides. */
function tryProbes() {
  const clock = createFakeClock();
  const health = { hasProblem: false };
  const probes = createProbes(clock, () => health.hasProblem);
  const asked: string[] = [];
  const thread = (name: string) => ({ send: (message: ToThread) => void asked.push(`${name} ${message.kind}`) });
  return { clock, health, probes, asked, thread };
}

suite("probes", () => {
  test("one thread looks at the start, and nobody again while all is well", () => {
    const { clock, probes, asked, thread } = tryProbes();
    const [a, b] = [thread("a"), thread("b")];
    probes.join(a, ["db"]);
    probes.join(b, ["db"]);
    probes.probed(a, "db", false);
    clock.advance(3_600_000);
    assert.deepEqual(asked, ["a probe"]);
  });

  test("threads take turns while there is a problem, with pauses that grow up to half a minute", () => {
    const { clock, health, probes, asked, thread } = tryProbes();
    const threads = { a: thread("a"), b: thread("b") };
    probes.join(threads.a, ["db"]);
    probes.join(threads.b, ["db"]);
    const last = () => threads[asked.at(-1)?.charAt(0) as "a" | "b"];
    health.hasProblem = true;
    const pauses: number[] = [];
    for (let turn = 0; turn < 7; turn += 1) {
      probes.probed(last(), "db", false);
      const sinceMs = clock.monotonicMs();
      while (asked.length < turn + 2) clock.advance(500);
      pauses.push(clock.monotonicMs() - sinceMs);
    }
    assert.deepEqual(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    assert.deepEqual(asked.slice(-2), ["b probe", "a probe"]);
    health.hasProblem = false;
    probes.probed(last(), "db", false);
    clock.advance(3_600_000);
    assert.equal(asked.length, 8);
  });

  test("a problem that an attempt found is looked after, until it is over", () => {
    const { clock, health, probes, asked, thread } = tryProbes();
    const a = thread("a");
    probes.join(a, ["db"]);
    probes.probed(a, "db", false);
    health.hasProblem = true;
    probes.onProblem("db");
    probes.onProblem("db");
    clock.advance(1_000);
    assert.deepEqual(asked, ["a probe", "a probe"]);
  });

  test("another thread is asked when one ends, does not answer, or is cut short", () => {
    const { clock, probes, asked, thread } = tryProbes();
    const [a, b, c] = [thread("a"), thread("b"), thread("c")];
    for (const each of [a, b, c]) probes.join(each, ["db"]);
    probes.leave(a);
    clock.advance(15_000);
    probes.probed(b, "db", false); // too late
    probes.probed(c, "db", true);
    clock.advance(1_000);
    assert.deepEqual(asked, ["a probe", "b probe", "c probe", "b probe"]);
  });
});
