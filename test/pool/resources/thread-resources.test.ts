import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { defineResource, type Permit, type ResourceContext } from "../../../src/pool/resource.ts";
import { turn } from "../../support/fake-clock.ts";
import { tryThreads } from "./try-threads.ts";

/** Keeps a connection to each of two servers, with a permit while it is open. */
function createStores({ permits }: Pick<ResourceContext<unknown>, "permits">) {
  const kept = new Map<string, Permit>();
  const inUse = new Set<string>();
  for (const name of ["x", "y"]) {
    permits(name).onWanted(() => {
      if (inUse.has(name)) return;
      kept.get(name)?.release();
      kept.delete(name);
    });
  }
  return {
    async use(name: string, signal: AbortSignal, work: () => Promise<unknown>): Promise<void> {
      inUse.add(name);
      if (!kept.has(name)) kept.set(name, await permits(name).acquire(signal));
      await work();
      inUse.delete(name);
    },
  };
}

const stores = defineResource({ name: "stores", permits: () => ({ x: 1, y: 1 }), setup: createStores });
const never = new AbortController().signal;

suite("permits of two servers of one resource", () => {
  test("are given up for an attempt that waits for one while another waits for what its thread keeps", async () => {
    const { join, pass } = tryThreads(stores);
    const ended: string[] = [];
    const lane = async (names: string) => {
      const thread = join();
      for (const name of names) {
        await thread.attempt((value) => value.use(name, never, turn));
        ended.push(name);
      }
    };
    const lanes = Promise.all([lane("xyxyxyxyxy"), lane("yxyxyxyxyx")]);
    await pass(30_000);
    assert.equal(ended.length, 20);
    await lanes;
  });

  test("are given up during an attempt that uses the other server for long", async () => {
    const { join, pass } = tryThreads(stores);
    const [long, other] = [join(), join()];
    await long.attempt((value) => value.use("y", never, turn));
    const done = Promise.withResolvers<void>();
    const running = long.attempt((value) => value.use("x", never, () => done.promise));
    let hasY = false;
    const waiting = other.attempt((value) => value.use("y", never, async () => (hasY = true)));
    await pass(1_000);
    assert.ok(hasY);
    done.resolve();
    await Promise.all([running, waiting]);
  });

  test("that are in use are asked for again as soon as their attempt has ended", async () => {
    const { join, pass } = tryThreads(stores);
    const [busy, other] = [join(), join()];
    const done = Promise.withResolvers<void>();
    const running = busy.attempt((value) => value.use("x", never, () => done.promise));
    await turn();
    const waiting = other.attempt((value) => value.use("x", never, turn));
    await pass(1_000);
    done.resolve();
    await Promise.all([running, waiting]); // no time goes by
  });
});

suite("a set-up that fails", () => {
  function tryFailing() {
    const state = { isAway: true, wanted: 0 };
    const billing = defineResource({
      name: "billing",
      permits: () => ({ connections: 1 }),
      async setup({ permits, signal }) {
        const connections = permits("connections");
        connections.onWanted(() => (state.wanted += 1));
        const permit = await connections.acquire(signal);
        if (state.isAway) throw new Error("away");
        return permit;
      },
    });
    return { state, ...tryThreads(billing) };
  }

  test("gives back the permits that it got, however often", async () => {
    const { state, host, join } = tryFailing();
    const thread = join();
    for (let count = 0; count < 3; count += 1) {
      await assert.rejects(thread.attempt(turn), /resource "billing" cannot be set up: away/);
      await turn();
      assert.equal(host.permits()[0]?.held, 0);
    }
    state.isAway = false;
    await thread.attempt(turn);
    assert.equal(host.permits()[0]?.held, 1);
  });

  test("is not asked for permits any more", async () => {
    const { state, join, pass } = tryFailing();
    const thread = join();
    await assert.rejects(thread.attempt(turn));
    state.isAway = false;
    await thread.attempt(turn);
    const stop = new AbortController();
    const waiting = join().attempt(turn, stop.signal);
    await pass(260);
    assert.equal(state.wanted, 1);
    stop.abort(new Error("enough"));
    await assert.rejects(waiting);
  });

  test("gives a permit back that it gets after it has failed", async () => {
    const late: Promise<unknown>[] = [];
    let isAway = true;
    const racing = defineResource({
      name: "racing",
      permits: () => ({ connections: 1 }),
      setup({ permits, signal }) {
        const acquired = permits("connections").acquire(signal);
        if (!isAway) return acquired;
        late.push(acquired);
        throw new Error("away");
      },
    });
    const { join } = tryThreads(racing);
    const thread = join();
    await assert.rejects(thread.attempt(turn), /away/);
    await assert.rejects(late[0] as Promise<unknown>, /has failed/);
    isAway = false;
    await thread.attempt(turn);
  });

  test("because it hangs is shown after ten seconds, but not while it waits for a permit", async () => {
    let hangs = true;
    const hanging = defineResource({
      name: "hanging",
      permits: () => ({ connections: 1 }),
      async setup({ permits, signal }) {
        if (hangs) await new Promise((_, fail) => signal.addEventListener("abort", () => fail(signal.reason)));
        return permits("connections").acquire(signal);
      },
    });
    const { host, join, pass } = tryThreads(hanging);
    const problem = () => host.parts()[0]?.problem;
    const thread = join();
    const stop = new AbortController();
    const attempt = thread.attempt(turn, stop.signal);
    await pass(11_000);
    assert.equal(problem(), "its setup has not ended within 10000 ms");
    stop.abort(new Error("enough"));
    await assert.rejects(attempt);
    hangs = false;
    await thread.attempt(turn);
    await turn();
    assert.equal(problem(), undefined);
    const waiting = new AbortController();
    const second = join().attempt(turn, waiting.signal);
    await pass(11_000);
    assert.equal(problem(), undefined);
    waiting.abort(new Error("enough"));
    await assert.rejects(second);
  });
});

suite("a probe", () => {
  test("that gets no permit finds no problem: others use all of them", async () => {
    const pooled = defineResource({
      name: "pooled",
      permits: () => ({ connections: 1 }),
      setup: ({ permits }) => permits("connections"),
      probe: async (connections, signal) => (await connections.acquire(signal)).release(),
    });
    const { host, join, pass } = tryThreads(pooled);
    const busy = join();
    const done = Promise.withResolvers<void>();
    const running = busy.attempt(async (connections) => {
      const permit = await connections.acquire(never);
      await done.promise;
      permit.release();
    });
    await turn();
    join(); // the host asked the first thread, which is busy, and asks this one later
    await pass(60_000);
    assert.ok(host.parts().every(({ problem }) => problem === undefined));
    done.resolve();
    await running;
  });

  test("knows which parts are well, by the reports of any thread", async () => {
    const looked: string[][] = [];
    const parts = ["away", "well"];
    const servers = defineResource({
      name: "servers",
      setup: (ctx) => ctx,
      probe({ report }, _signal, isWell) {
        looked.push(parts.filter((part) => !isWell(part)));
        for (const part of parts) report(part, part === "away" ? "it is away" : undefined);
      },
    });
    const { join, pass } = tryThreads(servers);
    for (let threads = 0; threads < 2; threads += 1) join();
    await pass(5_000);
    assert.deepEqual(looked, [["away", "well"], ["away"], ["away"]]);
  });
});

suite("a set-up that several attempts wait for", () => {
  function trySlow() {
    const state = { setUps: 0, stopped: 0, done: Promise.withResolvers<string>() };
    const slow = defineResource({
      name: "slow",
      async setup({ signal }) {
        state.setUps += 1;
        const { promise, reject } = Promise.withResolvers<never>();
        signal.addEventListener("abort", () => {
          state.stopped += 1;
          reject(signal.reason);
        });
        return Promise.race([state.done.promise, promise]);
      },
    });
    const thread = tryThreads(slow).join();
    const got: unknown[] = [];
    return { state, got, attempt: (signal?: AbortSignal) => thread.attempt((value) => got.push(value), signal) };
  }

  test("goes on for the others when one of them is asked to stop, and is theirs", async () => {
    const { state, got, attempt } = trySlow();
    const stop = new AbortController();
    const first = attempt(stop.signal);
    const others = [attempt(), attempt()];
    await turn();
    stop.abort(new Error("asked to stop"));
    await assert.rejects(first, /asked to stop/);
    state.done.resolve("set up");
    await Promise.all(others);
    assert.deepEqual([state.setUps, state.stopped, got], [1, 0, ["set up", "set up"]]);
  });

  test("stops when all of them are told to, and begins again for the next", async () => {
    const { state, got, attempt } = trySlow();
    const stop = new AbortController();
    const both = [attempt(stop.signal), attempt(stop.signal)];
    await turn();
    stop.abort(new Error("asked to stop"));
    const next = attempt();
    for (const each of both) await assert.rejects(each, /asked to stop/);
    state.done.resolve("set up");
    await next;
    assert.deepEqual([state.setUps, state.stopped, got], [2, 1, ["set up"]]);
  });
});
