import assert from "node:assert/strict";
import { test } from "node:test";
import { createExplain, type ExplainedLane, maxAhead } from "../../../src/engine/watch/explain.ts";
import type { Lease, NewJob, Settlement } from "../../../src/job/job.ts";
import { createMemoryStore } from "../../../src/store/memory.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { leaseAll, newJob, newJobs, settlement, t0, submit } from "../../store/sample.ts";

type Facts = { readonly pool?: Partial<ExplainedLane>; readonly isDraining?: boolean };

function open({ pool: given = {}, isDraining = false }: Facts = {}) {
  const pool = {
    running: 0,
    waiting: [],
    workers: 2,
    concurrency: 1,
    refusal: undefined,
    pause: null,
    isBroken: false,
    startingMs: () => undefined,
    ...given,
  };
  const store = createMemoryStore();
  const clock = createFakeClock(t0);
  const explain = createExplain({
    ...{ store, clock, isDraining: () => isDraining },
    laneOf: (job) => (job.pool === "cpu" ? pool : undefined),
  });
  return { store, clock, explain };
}

/** What is said of a job, behind others, after something was done to it. */
async function explained(
  { before = [], job = newJob(), ...facts }: Facts & { before?: readonly NewJob[]; job?: NewJob },
  act: (store: ReturnType<typeof createMemoryStore>) => Promise<unknown> = async () => undefined,
) {
  const { store, explain } = open(facts);
  await submit(store, [...before, job]);
  await act(store);
  const explanation = await explain("ada", job.id);
  assert.ok(explanation);
  assert.equal(explanation.job.id, job.id);
  return explanation;
}

const settled = (overrides: Partial<Settlement>) => async (store: ReturnType<typeof createMemoryStore>) => {
  const [lease] = await leaseAll(store);
  await store.settle([settlement(lease as Lease, overrides)]);
};

test("a suspect says why it waits, and that it runs in a process of its own", async () => {
  const waits = settled({ state: "QUEUED", outcome: "lost", crashes: 2, output: null });
  const lane = { pool: { running: 1, workers: 1 } };
  const [waiting, runs] = [
    await explained({ ...lane, before: newJobs(1) }, async (store) => {
      for (const lease of await leaseAll(store)) {
        await store.settle([settlement(lease, { state: "QUEUED", outcome: "lost", crashes: 2, output: null })]);
      }
      await submit(store, newJobs(1));
    }),
    await explained(lane, async (store) => {
      await waits(store);
      await store.lease({ pool: "cpu", suspects: true, limit: 1, now: t0, owner: "boot", leaseMs: 1 });
    }),
  ];
  assert.deepEqual([waiting.cause, waiting.ahead], ["suspect", 1]);
  assert.equal(
    waiting.text,
    "it is a suspect, because 2 server processes died while it ran: it waits for a process of its own, of which 1 of 1 run, " +
      'and 1 suspect of pool "cpu" starts before it',
  );
  assert.deepEqual([runs.cause, runs.text], ["running", "it runs in a process of its own: attempt 2 of 4"]);
});

test("a job that runs runs", async () => {
  const { cause, text } = await explained({}, (store) => leaseAll(store));
  assert.deepEqual([cause, text], ["running", "it runs: attempt 1 of 4"]);
});

test("a job that was cancelled while it runs has been asked to stop", async () => {
  const job = newJob();
  const { cause, text } = await explained({ job }, async (store) => {
    await leaseAll(store);
    await store.cancel({ client: "ada", ids: [job.id], now: t0 });
  });
  assert.equal(cause, "cancelling");
  assert.equal(text, "it was cancelled and asked to stop: attempt 1 has not ended yet");
});

test("a job that is final is final, and when DEAD it says why", async () => {
  const done = await explained({}, settled({}));
  assert.deepEqual([done.cause, done.text], ["final", "it is SUCCEEDED"]);
  const dead = await explained({}, settled({ state: "DEAD", deadReason: "exhausted", outcome: "failed" }));
  assert.deepEqual([dead.cause, dead.text], ["final", "it is DEAD: its attempts are used up"]);
});

test("a job for later is delayed", async () => {
  const { cause, text } = await explained({ job: newJob({ runAt: t0 + 2_345 }) });
  assert.deepEqual([cause, text], ["delayed", "it is not due yet: it starts in 2.4 s at the earliest"]);
});

test("a job that failed waits for its next attempt", async () => {
  const failure = { reason: "busy", message: "no", retryable: true };
  const retry = settled({ state: "QUEUED", outcome: "failed", failure, runAt: t0 + 400, output: null });
  const { cause, text } = await explained({}, retry);
  assert.equal(cause, "backoff");
  assert.equal(text, "attempt 1 of 4 failed (busy): the next starts in 400 ms at the earliest");
});

test("a job behind others says how many there are", async () => {
  const { cause, ahead, text, running, workers } = await explained({
    before: [...newJobs(2), ...newJobs(1, { pool: "io" }), ...newJobs(1, { runAt: t0 + 1 })],
    pool: { running: 2, workers: 2 },
  });
  assert.deepEqual([cause, ahead, running, workers], ["queued", 2, 2, 2]);
  assert.equal(text, '2 jobs of pool "cpu" start before it');
});

test("a job behind one other says so in words that fit", async () => {
  const { text } = await explained({ before: newJobs(1), pool: { running: 2, workers: 2 } });
  assert.equal(text, '1 job of pool "cpu" starts before it');
});

test("counting those before a job stops somewhere", async () => {
  const { ahead, text } = await explained({ before: newJobs(maxAhead + 5) });
  assert.equal(ahead, maxAhead);
  assert.equal(text, '10000 jobs or more of pool "cpu" start before it');
});

test("the first job waits for a worker while all are busy", async () => {
  const { cause, text } = await explained({ pool: { running: 2, workers: 2 } });
  assert.equal(cause, "workers_busy");
  assert.equal(text, 'it is the next to start, and pool "cpu" is busy: it runs 2 jobs on 2 workers');
});

test("workers that run several jobs at once are busy when each runs as many as it may", async () => {
  const cause = async (running: number) => (await explained({ pool: { running, workers: 2, concurrency: 32 } })).cause;
  assert.deepEqual([await cause(63), await cause(64)], ["queued", "workers_busy"]);
});

test("a job that waits for workers that do not fit into memory says so", async () => {
  const refusal = "memory allows no more workers: of 512 MiB the process has 500 MiB, and a worker takes 32 MiB";
  const pool = { running: 2, workers: 2, refusal };
  assert.ok((await explained({ pool })).text.endsWith(`on 2 workers; ${refusal}`));
  assert.ok((await explained({ pool, before: newJobs(1) })).text.endsWith(`starts before it; ${refusal}`));
});

test("a job that is leased and waits for a worker does not run yet, and starts before those that are not", async () => {
  const { store, explain } = open({ pool: { running: 2, waiting: [2, 3] } });
  const jobs = newJobs(4);
  await submit(store, jobs);
  await store.lease({ pool: "cpu", limit: 3, now: t0, owner: "boot", leaseMs: 30_000 });
  const answers = await Promise.all(jobs.map(({ id }) => explain("ada", id)));
  assert.deepEqual(
    answers.map((answer) => [answer?.cause, answer?.ahead]),
    [
      ["running", 0],
      ["workers_busy", 0],
      ["queued", 1],
      ["queued", 2],
    ],
  );
});

test("a job that is leased while those before it are counted waits for a worker, or runs", async () => {
  for (const [waiting, expected] of [
    [[1], "workers_busy"],
    [[], "running"],
  ] as const) {
    const store = createMemoryStore();
    const job = newJob();
    await submit(store, [job]);
    const pool: ExplainedLane = {
      ...{ running: 2, waiting, workers: 2, concurrency: 1, refusal: undefined },
      ...{ pause: null, isBroken: false, startingMs: () => undefined },
    };
    const explain = createExplain({
      store: {
        get: store.get,
        async ahead(request) {
          await leaseAll(store);
          return store.ahead(request);
        },
      },
      ...{ clock: createFakeClock(t0), isDraining: () => false, laneOf: () => pool },
    });
    assert.equal((await explain("ada", job.id))?.cause, expected);
  }
});

test("the first job with a free worker is about to start", async () => {
  const { cause, ahead, text } = await explained({ pool: { running: 1, workers: 2 } });
  assert.deepEqual([cause, ahead, text], ["queued", 0, 'it is the next to start in pool "cpu"']);
});

test("a job of a paused pool says who paused it and since when, and when it is due if that is later", async () => {
  const pool = { pause: { by: "ops", at: Date.parse("2026-11-30T03:00:00Z") } };
  const says = 'pool "cpu" is paused by "ops" since 2026-11-30T03:00:00.000Z: it starts once the pool is resumed';
  const [due, later, runs] = [
    await explained({ pool }),
    await explained({ pool, job: newJob({ runAt: t0 + 1_500 }) }),
    await explained({ pool }, leaseAll),
  ];
  assert.deepEqual([due.cause, due.text], ["paused", says]);
  assert.deepEqual([later.cause, later.text], ["paused", `${says}, in 1.5 s at the earliest`]);
  assert.equal(runs.cause, "running", "what runs goes on");
});

test("a server that drains starts nothing, due or not", async () => {
  for (const runAt of [t0, t0 + 500]) {
    const { cause } = await explained({ isDraining: true, job: newJob({ runAt }) });
    assert.equal(cause, "draining");
  }
});

test("a job that is due waits for threads that cannot start, whoever is before it", async () => {
  const { cause, text } = await explained({ before: newJobs(1), pool: { isBroken: true } });
  assert.equal(cause, "pool_broken");
  assert.equal(text, 'the threads of pool "cpu" cannot start, and the server\'s log says why: it starts once they can');
  const { cause: delayed } = await explained({ job: newJob({ runAt: t0 + 500 }), pool: { isBroken: true } });
  assert.equal(delayed, "delayed");
});

test("a job that is leased and waits for a worker to start does not run, and is told so", async () => {
  const act = async (store: ReturnType<typeof createMemoryStore>) => void (await leaseAll(store));
  const { cause, text } = await explained({ pool: { startingMs: () => 12_300 } }, act);
  assert.equal(cause, "worker_starting");
  assert.equal(text, 'it waits for a worker of pool "cpu" to start, for 12.3 s now');
  const broken = await explained({ pool: { startingMs: () => 12_300, isBroken: true } }, act);
  assert.equal(broken.cause, "pool_broken");
});

test("a job of a pool that is not configured waits for somebody to configure it", async () => {
  const { cause, text, workers } = await explained({ job: newJob({ pool: "gone" }), isDraining: true });
  assert.deepEqual([cause, workers], ["no_pool", 0]);
  assert.equal(text, 'pool "gone" is not configured on this server: nothing runs its jobs');
  const final = await explained({ job: newJob({ pool: "gone" }) }, async (store) => {
    const [lease] = await leaseAll(store, "gone");
    await store.settle([settlement(lease as Lease)]);
  });
  assert.equal(final.cause, "final");
});

test("of another's job, and of none, nothing is said", async () => {
  const { store, explain } = open();
  const job = newJob({ client: "bob" });
  await submit(store, [job]);
  assert.equal(await explain("ada", job.id), null);
  assert.equal(await explain("ada", "nowhere"), null);
});
