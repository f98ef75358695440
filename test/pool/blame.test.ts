import assert from "node:assert/strict";
import { once } from "node:events";
import { after, describe, test } from "node:test";
import { attemptSpanId } from "../../src/job/trace.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { job, shown, tryPool } from "./try-pool.ts";
import { until } from "../support/until.ts";

const leftBehind = "what a job left behind failed, and its worker is ended: its jobs return to the queue";
const unknown = "a worker failed through unknown code, and is ended: its jobs return to the queue";

describe("what a job left behind and fails during the next one", () => {
  const all = [
    "timer",
    "immediate",
    "tick",
    "microtask",
    "null",
    "rejection",
    "async",
    "emitter",
    "callback",
    "fetch",
    "exit",
  ];
  /** Its thread ends with each culprit, so that each test has a new one all the same. */
  const shared = tryPool({ after });
  for (const how of all) {
    test(`${how}: is logged under its own id, and the next one is handed back with its attempt not counted`, async (t) => {
      const { pool, lines } = how === "timer" ? tryPool(t, { work: "cpu" }) : shared;
      const [culprit, innocent] = [job("leaves", how), job("leaves", "nothing")];
      const ended = [...(await pool.run([culprit])), ...(await pool.run([innocent]))];
      assert.deepEqual(ended.map(shown), ["succeeded", "released"]);
      assert.deepEqual(
        lines
          .filter(
            ({ text, fields }) => text === leftBehind && [culprit.id, innocent.id].includes(String(fields["job"])),
          )
          .map(({ level, fields }) => [level, fields["job"], fields["task"], fields["span_id"]]),
        [["warn", culprit.id, "leaves", attemptSpanId(culprit.id, culprit.fence)]],
      );
      await until(() => pool.free() > 0); // threads that end keep their places for as long as that takes
      assert.deepEqual((await pool.run([job("echo", 1)])).map(shown), ["succeeded json 1"]);
    });
  }

  test("in one chunk: what ended before keeps its outcome, and what did not begin is handed back too", async (t) => {
    const { pool } = tryPool(t, { takesBack: false });
    const ended = await pool.run([job("leaves", "timer"), job("echo", 1), job("leaves", "nothing"), job("echo", 2)]);
    assert.deepEqual(ended.map(shown), ["succeeded", "succeeded json 1", "released", "released"]);
  });

  test("on a thread that runs nothing: touches no job", async (t) => {
    const { pool } = tryPool(t);
    const leaves = pool.run([job("leaves", "idle")]);
    const thread = pool.threads()[0] ?? assert.fail();
    await Promise.all([leaves, once(thread, "exit")]);
    let ended = await pool.run([job("echo", 1)]); // it may still have been sent to the thread that ended
    if (shown(ended[0]!) === "released") ended = await pool.run([job("echo", 1)]);
    assert.deepEqual(ended.map(shown), ["succeeded json 1"]);
  });
});

describe("what fails where nobody catches it", () => {
  const ownFailure = "a job threw an error that was not caught, and its worker is ended";

  test("is the job's own when it is a listener of its signal", async (t) => {
    const { pool, heard, lines } = tryPool(t);
    const lease = job("strays", "signal");
    const running = pool.run([lease]);
    await heard("listens");
    pool.cancel(lease.seq);
    assert.deepEqual((await running).map(shown), ["cancelled"]);
    assert.deepEqual(lines.find(({ text }) => text === ownFailure)?.fields["job"], lease.id);
  });

  test("is the job's own when what it returned begins its work only as it is waited for", async (t) => {
    const [ended] = await tryPool(t).pool.run([job("strays", "thenable")]);
    assert.ok(ended?.outcome.kind === "failed");
    assert.equal(ended.outcome.failure.message, "its own work");
  });

  test("is nobody's when its context is lost: the job is handed back five times, and then each time counts", async (t) => {
    const clock = createFakeClock();
    const { pool, lines } = tryPool(t, { clock, loadMs: Number.POSITIVE_INFINITY });
    const lease = job("strays", "native", { maxAttempts: 3 });
    const run = async (attempt: number) => {
      // a thread that ends keeps its place for as long as that takes, and the next one starts after a pause
      await until(() => {
        clock.advance(1_600);
        return pool.free() > 0;
      });
      return shown((await pool.run([{ ...lease, attempt }]))[0]!);
    };
    const handedBack: string[] = [];
    for (let time = 1; time <= 5; time += 1) handedBack.push(await run(1));
    assert.deepEqual(handedBack, Array<string>(5).fill("released"));
    const counted = [await run(1), await run(2), await run(3)];
    assert.deepEqual(counted, Array<string>(3).fill("failed worker_died"));
    assert.equal(await run(1), "released", "it was redriven, and begins at 0");
    assert.equal(lines.filter(({ text }) => text === unknown).length, 9);
  });

  test("is a task file's own when the file started it at its import, and no job's", async (t) => {
    process.env["MILLPOND_TEST_BOOT"] = "later";
    t.after(() => delete process.env["MILLPOND_TEST_BOOT"]);
    const { pool, heard, lines } = tryPool(t);
    const ended = pool.run([job("waits", "deaf")]);
    await heard("what a task's file started failed, and its worker is ended: its jobs return to the queue");
    assert.deepEqual((await ended).map(shown), ["released"]);
    const line = lines.find(({ text }) => text.startsWith("what a task's file started"));
    assert.deepEqual([line?.fields["task"], line?.fields["error"]], ["boots", "long after the import"]);
  });
});

test("a job whose thread is blocked by what another left behind is handed back after ten seconds, and that thread ended", async (t) => {
  const clock = createFakeClock();
  const { pool, heard } = tryPool(t, { clock });
  await pool.run([job("leaves", "spin")]);
  await heard("spins");
  const blocked = pool.run([job("echo", 1)]);
  clock.advance(10_000);
  assert.deepEqual((await blocked).map(shown), ["released"]);
  assert.deepEqual((await pool.run([job("echo", 1)])).map(shown), ["succeeded json 1"]);
});

for (const concurrency of [1, 4]) {
  test(`jobs that such a thread does not take run elsewhere after a second (concurrency ${concurrency})`, async (t) => {
    const clock = createFakeClock();
    let ready = 0;
    const options = {
      work: "io",
      clock,
      concurrency,
      minWorkers: 2,
      maxWorkers: 2,
      onReady: () => (ready += 1),
    } as const;
    const { pool, heard, released } = tryPool(t, options);
    await until(() => ready === 2);
    await pool.run([job("leaves", "spinLater")]);
    await heard("spins");
    const posted = Array.from({ length: 2 * concurrency }, () => job("echo", 1));
    let ended = 0;
    const ends = posted.map((lease) => pool.run([lease], () => (ended += 1)));
    await until(() => ended === concurrency); // by the other thread
    assert.deepEqual(released, []);
    clock.advance(1_000 + 40);
    assert.equal(released.length, concurrency);
    const again = released.map((lease) => pool.run([lease]));
    const outcomes = (await Promise.all(again)).flat().map(shown);
    assert.deepEqual([...new Set(outcomes)], ["succeeded json 1"]);
    clock.advance(10_000);
    await Promise.all(ends);
  });
}
