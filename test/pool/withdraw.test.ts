import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createFakeClock } from "../support/fake-clock.ts";
import { job, shown, tryPool } from "./try-pool.ts";
import { inputOf } from "../store/sample.ts";

const slowMs = 50;
const sweepMs = 20;

describe("jobs behind one that turns out slow", () => {
  test("are taken back after 50 ms, each with its input and its attempt, and run elsewhere", async (t) => {
    const clock = createFakeClock();
    const { pool, heard, released } = tryPool(t, { clock, maxWorkers: 2 });
    const slow = job("waits", "finish");
    const others = [1, 2, 3].map((value) => job("echo", value, { attempt: value }));
    const chunk = pool.run([slow, ...others]);
    await heard("waiting");
    clock.advance(slowMs - 1);
    assert.deepEqual(released, []);
    clock.advance(2 * sweepMs);
    assert.deepEqual(released, others);
    const elsewhere = await pool.run(released);
    assert.deepEqual(elsewhere.map(shown), ["succeeded json 1", "succeeded json 2", "succeeded json 3"]);
    pool.cancel(slow.seq);
    assert.deepEqual((await chunk).map(shown), [`succeeded json "done"`]);
    assert.equal(released.length, 3);
  });

  test("can be cancelled where they run now, and keep what they reported there", async (t) => {
    const clock = createFakeClock();
    const { pool, heard, released } = tryPool(t, { clock, maxWorkers: 2 });
    const [slow, other] = [job("waits", "finish"), job("talks", "beyond")];
    const chunk = pool.run([slow, other]);
    await heard("waiting");
    clock.advance(slowMs + 2 * sweepMs);
    const elsewhere = pool.run(released);
    await heard("said");
    pool.cancel(slow.seq);
    await chunk;
    assert.equal(pool.progressOf(other.seq)?.fraction, 1);
    assert.equal(pool.cancel(other.seq), true);
    assert.deepEqual((await elsewhere).map(shown), ["cancelled"]);
    assert.equal(pool.cancel(other.seq), false);
  });

  test("can be cancelled where they run now while the slow one goes on", async (t) => {
    const clock = createFakeClock();
    const { pool, heard, released } = tryPool(t, { clock, maxWorkers: 2 });
    const [slow, other] = [job("waits", "finish"), job("waits", "signal")];
    const chunk = pool.run([slow, other]);
    await heard("waiting");
    clock.advance(slowMs + 2 * sweepMs);
    const elsewhere = pool.run(released);
    await heard("waiting", 2);
    assert.equal(pool.cancel(other.seq), true);
    assert.deepEqual((await elsewhere).map(shown), ["cancelled"]);
    pool.cancel(slow.seq);
    await chunk;
  });

  test("keep their input, however large: what is handed over to the thread is the chunk's", async (t) => {
    const clock = createFakeClock();
    const { pool, heard, released } = tryPool(t, { clock });
    const large = () => ({ kind: "data", type: "", bytes: new Uint8Array(100_000).fill(7) }) as const;
    const [first, second] = [job("waits", large()), job("echo", large())];
    await pool.run([first]);
    assert.equal(inputOf(first)?.bytes.length, 100_000);
    const slow = job("waits", "finish");
    const chunk = pool.run([slow, second]);
    await heard("waiting", 2);
    clock.advance(slowMs + 2 * sweepMs);
    assert.equal(inputOf(released[0]!)?.bytes.length, 100_000);
    pool.cancel(slow.seq);
    await chunk;
  });

  test("stay when the caller takes none back", async (t) => {
    const clock = createFakeClock();
    const { pool, heard } = tryPool(t, { clock, takesBack: false });
    const slow = job("waits", "finish");
    const chunk = pool.run([slow, job("echo", 1)]);
    await heard("waiting");
    clock.advance(1000);
    pool.cancel(slow.seq);
    assert.deepEqual((await chunk).map(shown), [`succeeded json "done"`, "succeeded json 1"]);
  });

  test("the outcomes before it come with it, in their order", async (t) => {
    const clock = createFakeClock();
    const { pool, heard, released } = tryPool(t, { clock });
    const slow = job("waits", "finish");
    const last = job("echo", 2);
    const chunk = pool.run([job("echo", 1), slow, last]);
    await heard("waiting");
    clock.advance(slowMs + 2 * sweepMs);
    assert.deepEqual(released, [last]);
    pool.cancel(slow.seq);
    assert.deepEqual((await chunk).map(shown), ["succeeded json 1", `succeeded json "done"`]);
  });

  test("one that was cancelled before is not handed back: it comes as cancelled", async (t) => {
    const clock = createFakeClock();
    const { pool, heard, released } = tryPool(t, { clock });
    const [slow, unwanted, other] = [job("waits", "finish"), job("echo", 1), job("echo", 2)];
    const chunk = pool.run([slow, unwanted, other]);
    await heard("waiting");
    pool.cancel(unwanted.seq);
    clock.advance(slowMs + 2 * sweepMs);
    assert.deepEqual(released, [other]);
    assert.equal(pool.cancel(other.seq), false);
    pool.cancel(slow.seq);
    assert.deepEqual((await chunk).map(shown), [`succeeded json "done"`, "cancelled"]);
  });
});

test("no job is run twice and none is lost while chunks race with those who take jobs back", async (t) => {
  const { pool, released, lines } = tryPool(t, { maxWorkers: 2 });
  const wanted = new Map<number, number>();
  const run = async (offset: number) => {
    for (let round = 0; round < 40; round += 1) {
      const leases = Array.from({ length: 64 }, (_, index) => job("echo", offset + round * 64 + index));
      for (const { seq } of leases) wanted.set(seq, 0);
      const chunk = pool.run(leases);
      for (const { seq } of leases.filter((_, index) => index % 3 === round % 3)) {
        if (round % 2 === 0) await Promise.resolve();
        pool.cancel(seq);
      }
      for (const { lease, outcome } of await chunk) {
        assert.ok(outcome.kind === "succeeded" || outcome.kind === "cancelled", outcome.kind);
        wanted.set(lease.seq, (wanted.get(lease.seq) ?? 0) + 1);
      }
    }
  };
  await Promise.all([run(0), run(100_000)]);
  for (const { seq } of released) wanted.set(seq, (wanted.get(seq) ?? 0) + 1);
  assert.deepEqual([...new Set(wanted.values())], [1]);
  const begun = lines.filter(({ text }) => text === "begun").map(({ fields }) => fields["job"]);
  assert.equal(new Set(begun).size, begun.length);
});

describe("withdraw", () => {
  test("takes back a job whose worker is still starting, and the next one runs", async (t) => {
    const { pool, released, events } = tryPool(t, { minWorkers: 0, maxWorkers: 1 });
    const lease = job("echo", 1);
    const chunk = pool.run([lease]);
    pool.withdraw();
    assert.deepEqual(released, [lease]);
    assert.deepEqual([await chunk, events], [[], []]);
    assert.deepEqual((await pool.run([job("echo", 2)])).map(shown), ["succeeded json 2"]);
  });

  test("takes back what waits behind a job that runs, which goes on", async (t) => {
    const { pool, released, heard } = tryPool(t, { clock: createFakeClock(), maxWorkers: 1 });
    const [first, ...others] = [job("waits", "finish"), job("echo", 1), job("echo", 2)];
    const chunk = pool.run([first, ...others]);
    await heard("waiting");
    pool.withdraw();
    assert.deepEqual(released, others);
    pool.cancel(first.seq);
    assert.deepEqual((await chunk).map(shown), [`succeeded json "done"`]);
  });
});
