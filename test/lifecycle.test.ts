import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createAlarm,
  createLoop,
  createSignal,
  type Service,
  type Signal,
  startAll,
  stopAll,
} from "../src/lifecycle.ts";
import { createFakeClock, turn } from "./support/fake-clock.ts";

function services(...failing: readonly string[]) {
  const calls: string[] = [];
  const act = async (call: string) => {
    await Promise.resolve();
    calls.push(call);
    if (failing.includes(call)) throw new Error(`cannot ${call}`);
  };
  const all = ["a", "b", "c"].map(
    (name): Service => ({ name, start: () => act(`start ${name}`), stop: () => act(`stop ${name}`) }),
  );
  return { all, calls };
}

test("services start one after the other and stop in reverse", async () => {
  const { all, calls } = services();
  await startAll(all);
  await stopAll(all);
  assert.deepEqual(calls, ["start a", "start b", "start c", "stop c", "stop b", "stop a"]);
});

test("when one does not start, those before it are stopped, and its error is thrown", async () => {
  const { all, calls } = services("start c", "stop b");
  await assert.rejects(startAll(all), { message: "cannot start c" });
  assert.deepEqual(calls, ["start a", "start b", "start c", "stop b", "stop a"]);
});

test("all are stopped even when some fail, and every failure is told with its name", async () => {
  const { all, calls } = services("stop a", "stop c");
  await assert.rejects(stopAll(all), (error) => {
    assert.ok(error instanceof AggregateError);
    const told = error.errors.map((each: Error) => [each.message, (each.cause as Error).message]);
    assert.deepEqual(told, [
      ["could not stop c", "cannot stop c"],
      ["could not stop a", "cannot stop a"],
    ]);
    return true;
  });
  assert.deepEqual(calls, ["stop c", "stop b", "stop a"]);
});

test("nothing to start and nothing to stop is fine", async () => {
  await startAll([]);
  await stopAll([]);
});

test("a signal fires or fails, once", async () => {
  const fired = createSignal<number>();
  fired.fire(1);
  fired.fire(2);
  fired.fail(new Error("too late"));
  assert.equal(await fired.promise, 1);
  const failed = createSignal();
  failed.fail(new Error("no"));
  await assert.rejects(failed.promise, /no/);
});

describe("a loop", () => {
  /** One whose rounds end when the test says so. */
  function looped(parts: Partial<Parameters<typeof createLoop>[0]> = {}) {
    const clock = createFakeClock();
    const rounds: Signal<number | void>[] = [];
    const errors: unknown[] = [];
    const loop = createLoop({
      ...{ name: "tried", clock, everyMs: 100, onError: (error: unknown) => void errors.push(error) },
      round() {
        const end = createSignal<number | void>();
        rounds.push(end);
        return end.promise;
      },
      ...parts,
    });
    return { clock, rounds, errors, loop };
  }

  test("runs its first round after everyMs, and each next one everyMs after the end of the one before", async () => {
    const { clock, rounds, loop } = looped();
    clock.advance(1_000);
    assert.equal(rounds.length, 0, "it has not started");
    await loop.start();
    clock.advance(99);
    assert.equal(rounds.length, 0);
    clock.advance(1);
    assert.equal(rounds.length, 1);
    clock.advance(1_000);
    assert.equal(rounds.length, 1, "one at a time");
    rounds[0]?.fire();
    await turn();
    clock.advance(99);
    assert.equal(rounds.length, 1);
    clock.advance(1);
    assert.equal(rounds.length, 2);
  });

  test("runs its first round at once where it is asked to, and start does not wait for it", async () => {
    const { clock, rounds, loop } = looped({ startsAtOnce: true });
    await loop.start();
    await loop.start();
    assert.deepEqual([rounds.length, clock.timers()], [1, 0]);
  });

  test("waits as long as a round asks for", async () => {
    const { clock, rounds, loop } = looped();
    await loop.start();
    clock.advance(100);
    rounds[0]?.fire(5);
    await turn();
    clock.advance(5);
    assert.equal(rounds.length, 2);
  });

  test("rests after a round that asks for infinity, until it is woken", async () => {
    let rounds = 0;
    const { clock, loop } = looped({
      round() {
        rounds += 1;
        return Number.POSITIVE_INFINITY;
      },
    });
    await loop.start();
    loop.wake();
    assert.equal(clock.timers(), 1, "it does not rest yet");
    clock.advance(100);
    assert.deepEqual([rounds, clock.timers()], [1, 0]);
    loop.wake();
    loop.wake();
    assert.equal(clock.timers(), 1);
    clock.advance(100);
    assert.equal(rounds, 2);
    await loop.stop();
    loop.wake();
    assert.equal(clock.timers(), 0);
  });

  test("runs a synchronous round within its timer", async () => {
    let rounds = 0;
    const { clock, loop } = looped({ round: () => void (rounds += 1) });
    await loop.start();
    clock.advance(1_000);
    assert.equal(rounds, 10);
  });

  test("stop cancels the wait, waits for the round under way, and no other begins", async () => {
    const { clock, rounds, loop } = looped();
    await loop.start();
    clock.advance(100);
    let isStopped = false;
    const stopped = loop.stop().then(() => {
      isStopped = true;
    });
    await turn();
    assert.deepEqual([loop.isRunning(), isStopped], [false, false]);
    rounds[0]?.fire();
    await stopped;
    await loop.stop();
    clock.advance(1_000);
    assert.deepEqual([rounds.length, clock.timers()], [1, 0]);
    await looped().loop.stop();
  });

  for (const [how, fail] of [
    ["rejects", () => Promise.reject(new Error("gone"))],
    [
      "throws",
      () => {
        throw new Error("gone");
      },
    ],
  ] as const) {
    test(`a round that ${how} is reported, and the last`, async () => {
      const { clock, errors, loop } = looped({ round: fail });
      await loop.start();
      clock.advance(100);
      await turn();
      clock.advance(1_000);
      assert.deepEqual(
        errors.map((error) => (error as Error).message),
        ["gone"],
      );
      assert.equal(loop.isRunning(), false);
      await loop.stop();
    });
  }

  test("a round that failed in a way that passes is followed by another, after the time that is asked for", async () => {
    const errors: unknown[] = [];
    const at: number[] = [];
    const { clock, loop } = looped({
      async round() {
        at.push(clock.monotonicMs());
        if (at.length < 3) throw new Error("away");
      },
      onError(error) {
        errors.push(error);
        return 30;
      },
    });
    await loop.start();
    for (let steps = 0; steps < 50; steps += 1) {
      clock.advance(10);
      await turn();
    }
    assert.deepEqual(at, [100, 130, 160, 260, 360, 460]);
    assert.equal(errors.length, 2);
    await loop.stop();
  });

  test("a synchronous round that throws where no error is expected is uncaught", async () => {
    const clock = createFakeClock();
    const round = () => {
      throw new Error("a bug");
    };
    const loop = createLoop({ name: "tried", clock, everyMs: 100, round });
    await loop.start();
    assert.throws(() => clock.advance(100), /a bug/);
    await loop.stop();
  });

  test("a round that throws where the process survives it is followed by the next", async () => {
    const fake = createFakeClock();
    const errors: unknown[] = [];
    const survive = (action: () => void) => () => {
      try {
        action();
      } catch (error) {
        errors.push(error);
      }
    };
    const clock = { ...fake, after: (delayMs: number, action: () => void) => fake.after(delayMs, survive(action)) };
    let rounds = 0;
    const round = () => {
      rounds += 1;
      if (rounds === 1) throw new Error("a bug");
    };
    const loop = createLoop({ name: "tried", clock, everyMs: 100, round });
    await loop.start();
    fake.advance(300);
    assert.deepEqual([rounds, errors.length], [3, 1]);
    await loop.stop();
  });

  test("a wake during a round is not lost when that round then asks for a rest", async () => {
    const clock = createFakeClock();
    const rounds: Signal<number>[] = [];
    const round = () => {
      rounds.push(createSignal<number>());
      return (rounds.at(-1) as Signal<number>).promise;
    };
    const loop = createLoop({ name: "tried", clock, everyMs: 100, round });
    await loop.start();
    clock.advance(100);
    loop.wake();
    rounds[0]?.fire(Number.POSITIVE_INFINITY);
    await turn();
    clock.advance(100);
    assert.equal(rounds.length, 2);
    rounds[1]?.fire(Number.POSITIVE_INFINITY);
    await turn();
    assert.equal(clock.timers(), 0, "nobody woke it since");
    await loop.stop();
  });
});

test("an alarm goes off once, at the earliest time it is set for, and can be set again", () => {
  const clock = createFakeClock();
  const at: number[] = [];
  const start = clock.now();
  const alarm = createAlarm(clock, () => void at.push(clock.now() - start));
  for (const ms of [300, 200, 400]) alarm.setBy(start + ms);
  assert.equal(clock.timers(), 1);
  clock.advance(1_000);
  assert.deepEqual(at, [200]);
  alarm.setBy(start + 1_500);
  alarm.cancel();
  alarm.setBy(start + 1_600);
  clock.advance(1_000);
  assert.deepEqual(at, [200, 1_600]);
});
