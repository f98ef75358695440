import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Lease } from "../../src/job/job.ts";
import { createSignal } from "../../src/lifecycle.ts";
import type { Ended } from "../../src/pool/pool.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { job, shown, tryPool } from "./try-pool.ts";

/** Outcomes that came while their chunk went on. */
function early() {
  const parts: Ended[] = [];
  const { promise: first, fire } = createSignal();
  return {
    ...{ parts, first },
    onEnded(ended: readonly Ended[]) {
      parts.push(...ended);
      fire();
    },
  };
}

describe("a job that ended before a slow one in its chunk", () => {
  for (const work of ["cpu", "io"] as const) {
    test(`has its outcome while the slow one goes on, and only once (${work})`, async (t) => {
      const { pool, heard } = tryPool(t, { work, clock: createFakeClock() });
      const { parts, first, onEnded } = early();
      const [quick, slow] = [job("echo", 1), job("waits", "finish")];
      const chunk = pool.run([quick, slow], onEnded);
      await first;
      assert.deepEqual(parts.map(shown), ["succeeded json 1"]);
      assert.equal(parts[0]?.lease, quick);
      assert.equal(pool.free(), 0);
      assert.equal(pool.cancel(quick.seq), false);
      await heard("waiting");
      pool.cancel(slow.seq);
      await chunk;
      assert.deepEqual(parts.map(shown), ["succeeded json 1", `succeeded json "done"`]);
    });
  }

  test("has it before a job begins that blocks the thread, when it took long itself", async (t) => {
    const { pool } = tryPool(t, { clock: createFakeClock() });
    const { parts, first, onEnded } = early();
    const blocking = job("waits", "loop");
    const chunk = pool.run([job("naps", 30), blocking], onEnded);
    await first;
    assert.deepEqual(parts.map(shown), ["succeeded json 30"]);
    pool.cancel(blocking.seq);
    assert.deepEqual((await chunk).map(shown), ["succeeded json 30", "cancelled"]);
  });

  test("stays succeeded when the slow one's thread is ended", async (t) => {
    const clock = createFakeClock();
    const { pool, released } = tryPool(t, { clock, graceMs: 100 });
    const { first, onEnded } = early();
    const slow = job("waits", "deaf");
    const chunk = pool.run([job("echo", 1), slow], onEnded);
    await first;
    pool.cancel(slow.seq);
    clock.advance(140);
    assert.deepEqual((await chunk).map(shown), ["succeeded json 1", "cancelled"]);
    assert.deepEqual(released, []);
  });
});

describe("early outcomes that arrive late", () => {
  const lastSlot = 3; // of two workers; the first chunk gets it

  test("change nothing when the chunk is over", async (t) => {
    const { pool, heard } = tryPool(t, { maxWorkers: 2, clock: createFakeClock() });
    const { parts, onEnded } = early();
    const slow = job("waits", "finish");
    const first = pool.run([job("echo", 1)], onEnded);
    const other = pool.run([slow, job("repeats", { slot: lastSlot, chunk: 1 })]);
    assert.deepEqual((await first).map(shown), ["succeeded json 1"]);
    await heard("waiting");
    pool.cancel(slow.seq);
    await Promise.all([other, heard("repeated")]);
    assert.equal(parts.length, 1);
  });

  test("change nothing of the chunk that has its place now", async (t) => {
    const { pool, heard } = tryPool(t, { maxWorkers: 2, clock: createFakeClock() });
    const { parts, onEnded } = early();
    await pool.run([job("echo", 1)], onEnded);
    const slow = job("waits", "finish");
    const [next, other] = [pool.run([slow], onEnded), pool.run([job("repeats", { slot: lastSlot, chunk: 1 })])];
    await Promise.all([other, heard("repeated"), heard("waiting")]);
    assert.equal(parts.length, 1, "that of the first chunk");
    pool.cancel(slow.seq);
    assert.deepEqual((await next).map(shown), [`succeeded json "done"`]);
  });
});

test("every job ends exactly once while early outcomes race with the ends of chunks and of threads", async (t) => {
  const { pool, released } = tryPool(t, { maxWorkers: 2, graceMs: 1 });
  const wanted = new Map<number, number>();
  const count = (leases: readonly Lease[]) => {
    for (const { seq } of leases) wanted.set(seq, (wanted.get(seq) ?? 0) + 1);
  };
  const line = async (offset: number) => {
    for (let round = 0; round < 24; round += 1) {
      const naps = Array.from({ length: 6 }, (_, index) => job("naps", ((round + offset) * (index + 3)) % 11));
      // its timeout passes at about the time at which the timer of its chunk posts
      const last = round % 3 === 0 ? [job("naps", 100_000, { timeoutMs: 1 + (round % 5) * 5 })] : [];
      const leases = [...naps, ...last, job("echo", round)];
      for (const { seq } of leases) wanted.set(seq, 0);
      count((await pool.run(leases)).map(({ lease }) => lease));
    }
  };
  await Promise.all([line(0), line(5)]);
  await pool.destroy();
  count(released);
  assert.deepEqual([...new Set(wanted.values())], [1]);
});
