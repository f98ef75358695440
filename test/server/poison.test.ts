/** What a job that ends its process does to others, and what deaths that have nothing to do with jobs do to them: nothing. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import {
  connect,
  type Job,
  job,
  type JobResult,
  type MillpondClient,
  newJobId,
} from "../../clients/typescript/index.ts";
import { type Gate, openGate } from "../rpc/gate.ts";
import { makePlace } from "./place.ts";
import { openRelay } from "./relay.ts";

/** Pools without jobs, and so without threads: each server that is started again would start them again. */
const idle = { workers: { min: 0, max: 1 } };

/** A server that is started again whenever it dies, at one address, and clients of it. `workers` of pool `held`. */
async function openGuarded(t: TestContext, workers: number) {
  const flags = ["--pools", JSON.stringify({ cpu: idle, io: idle, held: { work: "io", concurrency: 1, workers } })];
  let isOver = false;
  t.after(() => {
    isOver = true; // before the place ends its servers
  });
  const { folder, start } = await makePlace(t);
  let server = await start(flags);
  let next = Promise.withResolvers<void>();
  let deaths = 0;
  const relay = await openRelay(server.serving.grpc);
  t.after(relay.close);
  void guard();

  async function guard(): Promise<void> {
    for (;;) {
      await server.ended;
      if (isOver) return;
      deaths += 1;
      server = await start(flags);
      relay.leadTo(server.serving.grpc);
      next.resolve();
      next = Promise.withResolvers();
    }
  }

  return {
    folder,
    deaths: () => deaths,
    pid: () => server.pid,
    /** Resolves when the next server serves. */
    restarted: () => next.promise,
    async kill() {
      const { promise } = next;
      await server.signal("SIGKILL");
      await promise;
    },
    client(name: string): MillpondClient {
      const client = connect({ address: relay.address, client: name });
      t.after(client.close);
      return client;
    },
  };
}

async function openedGate(t: TestContext): Promise<Gate> {
  const gate = await openGate();
  t.after(gate.close);
  return gate;
}

/** Deaths of the server use up attempts, as everything else does. */
const often = { retry: { maxAttempts: 100 } };

const longJobs = (gate: Gate, count: number, options: Parameters<typeof job>[2]): Job[] =>
  Array.from({ length: count }, () => job("gate", { port: gate.port }, { id: newJobId(), ...options }));

/** The results of so many jobs, by id. */
async function resultsOf(client: MillpondClient, count: number): Promise<Map<string, JobResult>> {
  const results = new Map<string, JobResult>();
  for await (const result of client.results()) {
    results.set(result.jobId, result);
    if (results.size === count) break;
  }
  return results;
}

suite("a job that ends its process", () => {
  // which signal it is makes a difference only in a process of its own: test/pool/isolated/pool.test.ts tries others
  test("by SIGSEGV, among 50 long ones of others, is poison; they all succeed, and only two servers died", async (t) => {
    const workers = 4;
    const gate = await openedGate(t);
    const guarded = await openGuarded(t, workers);
    const [ada, eve] = [guarded.client("ada"), guarded.client("eve")];
    // as many as there are workers beside it run whenever a server dies, and become suspects with it
    const beside = longJobs(gate, workers - 1, { priority: 1 });
    const later = longJobs(gate, 50 - beside.length, {});
    const restarts = guarded.restarted().then(guarded.restarted);
    await ada.submitAll(beside);
    const path = join(guarded.folder, "now");
    await eve.submit("kill", { path, afterMs: 100, signal: "SIGSEGV" }, { priority: 2 });
    await ada.submitAll(later);
    await writeFile(path, "");
    await restarts;
    gate.open();

    const [killer] = (await resultsOf(eve, 1)).values();
    assert.deepEqual([killer?.state, killer?.deadReason, killer?.attempts], ["DEAD", "poison", 3]);
    assert.match(killer?.failure?.message ?? "", /ran this job and nothing else died \(SIGSEGV\)/);
    const results = await resultsOf(ada, 50);
    for (const { state, attempts } of results.values()) {
      assert.equal(state, "SUCCEEDED");
      assert.ok(attempts <= 3, `${attempts} attempts`);
    }
    assert.equal(guarded.deaths(), 2);
  });
});

suite("deaths that have nothing to do with jobs", () => {
  test("five kill -9 while 50 long jobs run make none of them poison: all succeed", async (t) => {
    const workers = 2; // each runs a job in every life of the server
    const gate = await openedGate(t);
    const guarded = await openGuarded(t, workers);
    const client = guarded.client("ada");
    // the first run in every life of a server: in its workers at first, then as suspects
    await client.submitAll(longJobs(gate, workers, { ...often, priority: 1 }));
    await client.submitAll(longJobs(gate, 50 - workers, often));
    for (let kills = 0; kills < 5; kills += 1) {
      for (let begun = 0; begun < workers; begun += 1) await gate.next();
      await guarded.kill();
    }
    gate.open();
    const results = await resultsOf(client, 50);
    assert.deepEqual(new Set([...results.values()].map(({ state }) => state)), new Set(["SUCCEEDED"]));
    assert.equal(guarded.deaths(), 5);
    const isSuspect = ({ attempts }: JobResult) => attempts > 3;
    assert.ok([...results.values()].some(isSuspect), "servers died beside suspects");
  });

  test("take the processes of suspects with them, and convict nobody", async (t) => {
    const gate = await openedGate(t);
    const guarded = await openGuarded(t, 1);
    const client = guarded.client("ada");
    await client.submitAll(longJobs(gate, 1, often));
    for (let attempt = 1; attempt <= 4; attempt += 1) {
      assert.equal((await gate.next()).attempt, attempt);
      const own = childrenOf(guarded.pid());
      assert.equal(own.length, attempt > 2 ? 1 : 0, "from the third attempt on it runs in a process of its own");
      await guarded.kill(); // resolves only when whoever holds the pipes of its output is gone, its children too
      assert.deepEqual(own.filter(isAlive), []);
    }
    const last = await gate.next();
    assert.match((await client.explain(last.jobId)).text, /^it runs in a process of its own: attempt 5 of 100$/);
    const held = (await client.stats()).pools.find(({ pool }) => pool === "held");
    assert.deepEqual([held?.running, held?.suspects], [1, 1]);
    last.pass();
    const [result] = (await resultsOf(client, 1)).values();
    assert.deepEqual([result?.state, result?.attempts], ["SUCCEEDED", 5]);
  });
});

/** Processes that this one started and that live. */
function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return false;
  }
}
