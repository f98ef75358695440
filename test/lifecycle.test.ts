import assert from "node:assert/strict";
import { test } from "node:test";
import { createSignal, startAll, stopAll, type Service } from "../src/lifecycle.ts";

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
