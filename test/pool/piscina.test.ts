/**
 * What the pool needs of piscina beyond its documentation. So package.json has an exact version, and an upgrade that fails here
 * needs changes in src/pool/threads.ts.
 */
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { Piscina, type PiscinaTask, queueOptionsSymbol } from "piscina";
import manifest from "../../package.json" with { type: "json" };

type Options = NonNullable<ConstructorParameters<typeof Piscina>[0]>;

function open(t: TestContext, options: Options) {
  const filename = new URL("./piscina-thread.ts", import.meta.url).href;
  const threads = new Piscina({ filename, minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: 4, ...options });
  t.after(() => threads.destroy());
  return {
    threads,
    /** A run, and what ends it, by a signal of only the methods that piscina calls. */
    run(how: "wait" | null, chunk?: object) {
      let end = () => {};
      const signal = { once: (_: string, listener: () => void) => (end = listener), off() {}, removeListener() {} };
      const ended = threads.run(chunk ? { [queueOptionsSymbol]: chunk } : how, { signal: signal as never });
      ended.catch(() => {}); // those that still run end with the test
      return { ended, end: () => end() };
    },
  };
}

suite("piscina", () => {
  test("has an exact version", () => assert.match(manifest.dependencies.piscina, /^\d+\.\d+\.\d+$/));

  test("reads its options with each run, so that maxThreads may rise meanwhile", async (t) => {
    const { threads, run } = open(t, { minThreads: 0, concurrentTasksPerWorker: 1 });
    run("wait");
    const waits = run(null);
    assert.equal(threads.threads.length, 1);
    threads.options.maxThreads = 2;
    await run(null).ended;
    await waits.ended;
    assert.equal(threads.threads.length, 2);
  });

  test("ends idle threads when minThreads is lowered and each has run once more", async (t) => {
    const { threads, run } = open(t, { minThreads: 2, maxThreads: 2, concurrentTasksPerWorker: 1, idleTimeout: 1 });
    await Promise.all([run(null).ended, run(null).ended]);
    threads.options.minThreads = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    threads.on("workerDestroy", () => queueMicrotask(() => threads.threads.length === 0 && resolve()));
    for (const _ of threads.threads) run(null);
    await promise;
  });

  test("asks the balancer with what the chunk has under queueOptionsSymbol, and starts a thread where it chooses none", async (t) => {
    const asked: (object | null)[] = [];
    const { threads, run } = open(t, {
      maxThreads: 2,
      loadBalancer(task: PiscinaTask, candidates) {
        asked.push(task[queueOptionsSymbol]);
        return candidates.find(({ isRunningAbortableTask }) => !isRunningAbortableTask) ?? null;
      },
    });
    const chunk = { slot: 7 };
    run("wait");
    run(null, chunk);
    assert.equal(asked.at(-1), chunk);
    assert.equal(threads.threads.length, 2);
  });

  test("hides from the balancer how many tasks a thread has only where it is one that can be ended; threads that start are candidates", async (t) => {
    const shown: unknown[] = [];
    const { threads, run } = open(t, {
      loadBalancer(_task, [thread]) {
        shown.push([thread?.currentUsage, thread?.isRunningAbortableTask]);
        return thread ?? null;
      },
    });
    for (let count = 0; count < 3; count += 1) run("wait");
    assert.equal(threads.threads.length, 1);
    assert.deepEqual(shown, [
      [0, false],
      [Infinity, true],
      [2, false],
    ]);
  });

  test("ends the thread of a run that is ended, and rejects the other runs of that thread", async (t) => {
    const { threads, run } = open(t, { loadBalancer: (_task, [thread]) => thread ?? null });
    const [thread] = threads.threads;
    const all = [run("wait"), run("wait")];
    await run(null).ended;
    all[0]?.end();
    for (const { status } of await Promise.allSettled(all.map(({ ended }) => ended))) assert.equal(status, "rejected");
    assert.ok(thread && !threads.threads.includes(thread));
  });
});
