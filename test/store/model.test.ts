/** Random sequences of calls: the SQLite driver must answer every one as the memory driver does. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Lease, NewJob, Settlement } from "../../src/job/job.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { type Batches, createBatches } from "../../src/store/sqlite/batches.ts";
import { createCalls } from "../../src/store/sqlite/calls.ts";
import { createExecutor } from "../../src/store/sqlite/executor.ts";
import { migrate } from "../../src/store/sqlite/migrate.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { data, t0 } from "./sample.ts";

type Calls = Omit<Store, "close">;
type Step = {
  readonly name: string;
  /** Whether to wait for the answers before the next step, so that both shared and separate commits are tried. */
  readonly waits: boolean;
  run(store: Calls, seen: readonly Lease[]): Promise<unknown>;
};

const name = fc.constantFrom("a", "b");
const time = fc.integer({ min: t0, max: t0 + 20 });
const limit = fc.integer({ min: 1, max: 4 });
const payload = fc.constantFrom(null, data("x"), data("y"), { ...data("{}"), kind: "json" as const }, data(3_000));
const state = fc.constantFrom("QUEUED", "SUCCEEDED", "SUCCEEDED", "DEAD", "CANCELLED");
const id = fc.integer({ min: 0, max: 11 }).map((n) => `01990000-0000-7000-8000-${String(n).padStart(12, "0")}`);

const job: fc.Arbitrary<NewJob> = fc.record({
  id,
  client: name,
  task: fc.constantFrom("echo", "echo", "sleep"),
  pool: name,
  channel: name,
  input: payload,
  maxAttempts: fc.integer({ min: 1, max: 100 }),
  runAt: time,
  submittedAt: time,
  trace: fc.constantFrom(null, "00-trace"),
});

/** A settlement of one of the leases seen so far, now and then with a fence of its own making. */
const ending = fc.record({
  which: fc.nat(),
  fenceShift: fc.constantFrom(0, 0, 0, 0, 1, -1),
  state,
  output: payload,
  failure: fc.constantFrom(null, { reason: "bad", message: "no", retryable: true }),
  at: time,
});
type Ending = typeof ending extends fc.Arbitrary<infer T> ? T : never;

function toSettlements(endings: readonly Ending[], seen: readonly Lease[]): Settlement[] {
  if (seen.length === 0) return [];
  return endings.map(({ which, fenceShift, at, ...rest }) => {
    const { seq, fence, attempt, crashes } = seen[which % seen.length]!;
    const times = { runAt: at, startedAt: at, finishedAt: at };
    return { seq, fence: fence + fenceShift, attempt, crashes, ...times, ...rest };
  });
}

function step<T>(
  stepName: string,
  request: fc.Arbitrary<T>,
  run: (store: Calls, request: T, seen: readonly Lease[]) => Promise<unknown>,
): fc.Arbitrary<Step> {
  return fc.tuple(request, fc.boolean()).map(([given, waits]) => ({
    name: `${stepName} ${fc.stringify(given)}`,
    waits,
    run: (store, seen) => run(store, given, seen),
    toString: () => `${stepName}(${fc.stringify(given)})${waits ? "" : " unawaited"}`,
  }));
}

const place = { client: name, channel: name };
const submit = step("submit", fc.array(job, { maxLength: 5 }), (store, jobs) => store.submit(jobs));
const lease = step("lease", fc.record({ pool: name, limit, now: time, owner: name }), (store, request) =>
  store.lease(request),
);
const settle = step("settle", fc.array(ending, { maxLength: 5 }), (store, endings, seen) =>
  store.settle(toSettlements(endings, seen)),
);
const position = fc.integer({ min: 0, max: 5 });
const others = [
  step(
    "results",
    fc.record({ ...place, afterCursor: position, limit, maxBytes: fc.constantFrom(0, 1, 2, 3_001) }),
    (store, r) => store.results(r),
  ),
  step("ack", fc.array(fc.record({ ...place, cursor: position }), { maxLength: 3 }), (store, r) => store.ack(r)),
  step(
    "prune",
    fc.record({ acknowledgedBefore: time, unacknowledgedBefore: time, deadBefore: time, limit }),
    (store, r) => store.prune(r),
  ),
  step("expired", fc.record({ owner: name, limit }), (store, r) => store.expired(r)),
  step("get", fc.record({ client: name, id }), (store, r) => store.get(r)),
  step(
    "list",
    fc.record({
      client: name,
      limit,
      beforeSeq: fc.option(fc.integer({ min: 1, max: 12 })),
      state: fc.option(fc.constantFrom("RUNNING" as const, "QUEUED" as const, "DEAD" as const)),
      task: fc.constantFrom(null, "echo", "sleep"),
      channel: fc.option(name),
    }),
    (store, r) => store.list(r),
  ),
  step("counts", fc.constant(null), (store) => store.counts()),
  step("oldestDue", fc.record({ pools: fc.constant(["b", "a", "c"]), now: time }), (store, r) => store.oldestDue(r)),
];
// Half of the steps move jobs on, so that sequences reach results and retention.
const sequence = fc.array(fc.oneof(submit, lease, lease, settle, settle, ...others), { minLength: 1, maxLength: 40 });

/** Runs a sequence on both stores; every answer must be the same. */
async function compare(steps: readonly Step[], reference: Calls, tried: Calls): Promise<void> {
  const seen: Lease[] = [];
  let running: Promise<void>[] = [];
  for (const { name: called, waits, run } of steps) {
    const answers = Promise.all([run(reference, seen), run(tried, seen)]);
    running.push(
      answers.then(([expected, found]) => {
        assert.deepEqual(found, expected, called);
        const { leases } = (expected ?? {}) as { leases?: Lease[] };
        if (leases) seen.push(...leases);
      }),
    );
    if (!waits) continue;
    await Promise.all(running);
    running = [];
  }
  await Promise.all(running);
  assert.deepEqual(await tried.counts(), await reference.counts());
  for (const client of ["a", "b"]) {
    const all = { client, limit: 100, beforeSeq: null, state: null, task: null, channel: null };
    assert.deepEqual(await tried.list(all), await reference.list(all));
  }
}

/** The SQLite driver without its thread and its file: the same batches, the same statements. */
function createInMemorySqlite() {
  const db = new DatabaseSync(":memory:");
  migrate(db);
  let executor = createExecutor(db);
  const batches: Batches = createBatches((batch) =>
    setImmediate(() => {
      const [answers] = executor.execute([batch]);
      executor = createExecutor(db); // as after a restart: nothing it relies on is in memory only
      batches.answered(answers!);
    }),
  );
  return { calls: createCalls(batches), close: () => db.close() };
}

test("1,000 random sequences get the same answers from the SQLite driver's statements as from memory", async () => {
  await fc.assert(
    fc.asyncProperty(sequence, async (steps) => {
      const { calls, close } = createInMemorySqlite();
      try {
        await compare(steps, createMemoryStore(), calls);
      } finally {
        close();
      }
    }),
    { numRuns: 1_000 },
  );
});

test("random sequences get the same answers from the whole SQLite driver as from memory", async () => {
  const directory = await mkdtemp(join(tmpdir(), "millpond-model-"));
  let files = 0;
  await fc.assert(
    fc.asyncProperty(sequence, async (steps) => {
      const path = join(directory, `${++files}.db`);
      const store = await openSqliteStore({ path, onFailure: (error) => assert.fail(error) });
      try {
        await compare(steps, createMemoryStore(), store);
      } finally {
        await store.close();
      }
    }),
    { numRuns: 25 },
  );
  await rm(directory, { recursive: true });
});
