/** Space goes back to the disk in idle moments only, in small steps, and calls come first. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { createIdleWork } from "../../src/store/sqlite/thread/idle-work.ts";
import { createFakeClock } from "../support/fake-clock.ts";

/** A store with so many steps' worth of free pages, each of which takes `stepMs`. */
function setUp({ steps, stepMs = 1 }: { steps: number; stepMs?: number }) {
  const clock = createFakeClock();
  const done: string[] = [];
  const errors: unknown[] = [];
  let stepsLeft = steps;
  let canCheckpoint = true;
  let fault: Error | undefined;
  const work = createIdleWork({
    clock,
    freePages: {
      isWorthwhile: () => stepsLeft > 0,
      giveBack() {
        if (fault) throw fault;
        stepsLeft -= 1;
        done.push("step");
        clock.advance(stepMs);
      },
    },
    checkpoint: {
      whenLong: () => undefined,
      now() {
        done.push("checkpoint");
        return canCheckpoint;
      },
    },
    onError: (error) => void errors.push(error),
  });
  void work.start();
  return {
    ...{ clock, done, errors, work },
    block: (isBlocked: boolean) => (canCheckpoint = !isBlocked),
    fail: (error: Error) => (fault = error),
    count: (what: string) => done.filter((each) => each === what).length,
  };
}

suite("space in the file", () => {
  test("goes back step by step until nothing is worth it, and then the file is cut", () => {
    const { clock, done } = setUp({ steps: 3 });
    clock.advance(10_000);
    assert.deepEqual(done.slice(0, 4), ["step", "step", "step", "checkpoint"]);
    clock.advance(60_000);
    assert.equal(done.length, 4, "where nothing is to be given back nothing is done");
  });

  test("takes one hundredth of the time at most", () => {
    const { clock, count } = setUp({ steps: 1_000_000, stepMs: 7 });
    clock.advance(100_000);
    assert.ok(count("step") * 7 <= 1_000, `${count("step")} steps of 7 ms in 100 s`);
    assert.ok(count("step") > 100);
  });

  test("no step is taken while calls come more often than every 20 ms, however long", () => {
    const { clock, done, work } = setUp({ steps: 5 });
    for (let ms = 0; ms < 5_000; ms += 10) {
      work.called();
      clock.advance(10);
    }
    assert.deepEqual(done, []);
    clock.advance(40);
    assert.equal(done[0], "step");
  });

  test("the file is cut later where somebody else reads it", () => {
    const { clock, count, block } = setUp({ steps: 1 });
    block(true);
    clock.advance(5_000);
    assert.ok(count("checkpoint") >= 3);
    block(false);
    clock.advance(1_000);
    const cut = count("checkpoint");
    clock.advance(10_000);
    assert.equal(count("checkpoint"), cut);
  });

  test("a step that fails is reported once, and nothing more is done", () => {
    const { clock, done, errors, fail } = setUp({ steps: 5 });
    const error = new Error("disk I/O error");
    fail(error);
    clock.advance(60_000);
    assert.deepEqual([done, errors, clock.timers()], [[], [error], 0]);
  });

  test("a stop leaves no timer", () => {
    const { clock, done, work } = setUp({ steps: 5 });
    void work.stop();
    clock.advance(60_000);
    assert.deepEqual([done, clock.timers()], [[], 0]);
  });
});
