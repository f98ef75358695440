/** Random sequences of calls: the SQLite driver must answer every one as the memory driver does. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import * as fc from "fast-check";
import { idempotencyMs, type Lease, type NewJob, type StoredJob } from "../../src/job/job.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { type Batches, createBatches } from "../../src/store/sqlite/thread/batches.ts";
import { createCalls } from "../../src/store/sqlite/thread/calls.ts";
import { createExecutor } from "../../src/store/sqlite/thread/executor.ts";
import { migrate } from "../../src/store/sqlite/thread/migrate.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Settling, StoreCalls } from "../../src/store/store.ts";
import { anyJob, bad, data, settling, submit as submitTo, t0 } from "./sample.ts";
import { assertConsistent } from "./consistency.ts";

type Calls = Omit<StoreCalls, "close">;
type Step = {
  readonly name: string;
  /** Whether to wait for the answers before the next step, so that both shared and separate commits are tried. */
  readonly waits: boolean;
  run(store: Calls, seen: readonly Lease[]): Promise<unknown>;
};

const name = fc.constantFrom("a", "b");
const time = fc.integer({ min: t0, max: t0 + 20 });
const leaseMs = fc.integer({ min: 0, max: 20 });
const limit = fc.integer({ min: 1, max: 4 });
const payload = fc.constantFrom(null, data("x"), data("y"), { ...data("{}"), kind: "json" as const }, data(3_000));
const how = fc.constantFrom(
  { outcome: "failed", state: "QUEUED", deadReason: null, failure: { ...bad, retryable: true } } as const,
  { outcome: "released", state: "QUEUED", deadReason: null, failure: null } as const,
  { outcome: "succeeded", state: "SUCCEEDED", deadReason: null, failure: null } as const,
  { outcome: "succeeded", state: "SUCCEEDED", deadReason: null, failure: null } as const,
  { outcome: "timed_out", state: "DEAD", deadReason: "exhausted", failure: bad } as const,
  { outcome: "lost", state: "DEAD", deadReason: "poison", failure: { ...bad, message: "é" } } as const,
  { outcome: "cancelled", state: "CANCELLED", deadReason: null, failure: bad } as const,
);
const id = fc.integer({ min: 0, max: 11 }).map((n) => `01990000-0000-7000-8000-${String(n).padStart(12, "0")}`);

const labels = fc.constantFrom({}, {}, { a: "1", b: "2" }, { b: "2" });
const priority = fc.constantFrom(0, 0, 0, 1, -100, 100);

const job: fc.Arbitrary<NewJob> = fc.record({
  id,
  client: name,
  task: fc.constantFrom("echo", "echo", "sleep"),
  pool: name,
  channel: fc.constantFrom("a", "a", "b", null),
  input: payload,
  maxAttempts: fc.constantFrom(1, 100),
  priority,
  runAt: time,
  expiresAt: fc.option(time),
  submittedAt: fc.constantFrom(t0, t0 + 1, t0 + 2, t0 + idempotencyMs),
  trace: fc.constantFrom(null, "00-trace"),
  idempotencyKey: fc.constantFrom(null, null, "k1", "k2"),
  labels,
  memo: fc.constantFrom("", "", "é"),
  timeoutMs: fc.constantFrom(null, null, 5),
  retry: fc.constantFrom(null, null, { baseMs: 1, jitter: "none" as const }),
});

/** A settlement of one of the leases seen so far, now and then with a fence of its own making. */
const ending = fc.record({
  which: fc.nat(),
  fenceShift: fc.constantFrom(0, 0, 0, 0, 1, -1),
  how,
  output: payload,
  at: time,
  hasBegun: fc.constantFrom(true, true, false),
  isStartKnown: fc.constantFrom(true, true, false),
  newCrashes: fc.constantFrom(0, 0, 1, 2),
});
type Ending = typeof ending extends fc.Arbitrary<infer T> ? T : never;

function toSettlements(endings: readonly Ending[], seen: readonly Lease[]): Settling[] {
  if (seen.length === 0) return [];
  return endings.map(({ which, fenceShift, at, how, output, hasBegun, isStartKnown, newCrashes }) => {
    const lease = seen[which % seen.length]!;
    const { seq, fence, id, client, pool, channel, attempt, crashes } = lease;
    // an attempt that counts has failed or ended its job; only one that was given back leaves nothing behind
    const counts = how.outcome !== "released" && (hasBegun || how.state === "QUEUED");
    const startedAt = counts && isStartKnown ? at : null;
    return settling(lease, {
      ...{ seq, fence: fence + fenceShift, id, client, pool, channel },
      ...{ attempt: counts ? attempt : attempt - 1, crashes: crashes + newCrashes },
      ...{ runAt: at, finishedAt: at, ended: { number: attempt, startedAt }, ...how },
      output: how.state === "QUEUED" ? null : output,
      startedAt: counts || attempt === 1 ? startedAt : lease.startedAt,
    });
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
const submit = step("submit", fc.array(job, { maxLength: 5 }), (store, jobs) => submitTo(store, jobs));
const lease = step(
  "lease",
  fc.record({
    pool: name,
    limit,
    now: time,
    owner: name,
    leaseMs,
    onlyExpired: fc.constantFrom(false, false, false, true),
    suspects: fc.constantFrom(false, false, true),
  }),
  (store, request) => store.lease(request),
);
const settle = step("settle", fc.array(ending, { maxLength: 5 }), (store, endings, seen) =>
  store.settle(toSettlements(endings, seen)),
);
const state = fc.constantFrom("QUEUED" as const, "RUNNING" as const, "SUCCEEDED" as const, "DEAD" as const);
const ids = fc.array(id, { maxLength: 6 });
const room = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ jobs: Infinity, bytes: Infinity }) },
  fc.record({ jobs: fc.integer({ min: 0, max: 4 }), bytes: fc.constantFrom(Infinity, 0, 300, 3_500) }),
);
const filter = fc.record({
  task: fc.constantFrom(null, null, "echo", "sleep"),
  pool: fc.constantFrom(null, null, "a"),
  channel: fc.constantFrom(null, null, "a", "c"),
  labels: fc.constantFrom({}, {}, { b: "2" }, { a: "1", b: "2" }, { a: "2" }),
  submittedFrom: fc.constantFrom(null, null, t0 + 1),
  submittedBefore: fc.constantFrom(null, null, t0 + 2),
  deadReason: fc.constantFrom(null, null, "poison" as const),
  failureReason: fc.constantFrom(null, null, "bad", "other"),
});
const position = fc.integer({ min: 0, max: 5 });
const others = [
  step(
    "results",
    fc.record({ ...place, afterCursor: position, limit, maxBytes: fc.constantFrom(0, 1, 150, 3_200) }),
    (store, r) => store.results(r),
  ),
  step("ack", fc.array(fc.record({ ...place, cursor: position }), { maxLength: 3 }), (store, r) => store.ack(r)),
  step(
    "prune",
    fc.record({
      now: fc.constantFrom(t0, t0 + idempotencyMs),
      acknowledgedBefore: time,
      unacknowledgedBefore: time,
      deadBefore: time,
      maxFinished: room,
      maxDead: room,
      limit: fc.constantFrom(1, 2, 100),
    }),
    // With a limit the drivers may take different channels first; in the end the same is gone.
    async (store, r) => {
      let removed = 0;
      for (let last: number = r.limit; last === r.limit; removed += last) last = await store.prune(r);
      return removed;
    },
  ),
  step("extend", fc.record({ shift: fc.constantFrom(0, 0, 1), now: time, leaseMs }), (store, { shift, ...r }, seen) =>
    store.extend({ leases: seen.map(({ seq, fence }) => ({ seq, fence: fence + shift })), ...r }),
  ),
  step("expired", fc.record({ now: time, limit }), (store, r) => store.expired(r)),
  step("recover", fc.record({ owner: name }), (store, r) => store.recover(r)),
  step("cancel", fc.record({ client: name, ids, now: time }), (store, r) => store.cancel(r)),
  step(
    "redrive",
    fc.record({ client: name, now: time, jobs: fc.array(fc.record({ id, runAt: time }), { maxLength: 6 }) }),
    (store, r) => store.redrive(r),
  ),
  step("remove", fc.record({ client: name, ids }), (store, r) => store.remove(r)),
  step("get", fc.record({ client: name, id }), (store, r) => store.get(r)),
  step("states", fc.array(fc.record({ client: name, id }), { maxLength: 4 }), (store, r) => store.states(r)),
  step(
    "list",
    fc.record({
      client: name,
      filter,
      state: fc.option(state),
      limit,
      beforeSeq: fc.option(fc.integer({ min: 1, max: 12 })),
    }),
    (store, r) => store.list(r),
  ),
  step(
    "find",
    fc.record({ client: name, filter, states: fc.uniqueArray(state), afterSeq: fc.integer({ min: 0, max: 8 }), limit }),
    (store, r) => store.find(r),
  ),
  step("ahead", fc.record({ seq: fc.integer({ min: 1, max: 12 }), now: time, max: limit }), (store, r) =>
    store.ahead(r),
  ),
  step("counts", fc.constant(null), (store) => store.counts()),
  step("latest", fc.constant(null), (store) => store.latest()),
  step(
    "eligible",
    fc.record({ pools: fc.array(fc.record({ pool: name, max: limit }), { maxLength: 3 }), now: time }),
    (store, r) => store.eligible(r),
  ),
  step("oldest", fc.record({ pools: fc.constant(["b", "a", "c"]), now: time }), (store, r) => store.oldest(r)),
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
    const all = { client, filter: anyJob, state: null, limit: 100, beforeSeq: null };
    assert.deepEqual(await tried.list(all), await reference.list(all));
    for (const channel of ["a", "b"]) {
      const whole = { client, channel, afterCursor: 0, limit: 100, maxBytes: Infinity };
      const { results, lastCursor, ackedCursor } = await reference.results(whole);
      assert.deepEqual(await tried.results(whole), { results, lastCursor, ackedCursor });
      const first = lastCursor - results.length;
      results.forEach(({ cursor }, index) => assert.equal(cursor, first + index + 1, "a channel has a gap"));
    }
  }
}

/** A store about which is not asked when leases begin and end: that is all that a restart forgets. */
function withoutTimesOfLeases(store: Calls): Calls {
  const timeless = <T extends StoredJob>(job: T): T => (job.state === "RUNNING" ? { ...job, startedAt: null } : job);
  return {
    ...store,
    expired: async ({ limit }) =>
      (await store.expired({ now: Infinity, limit })).map((lease) => ({ ...lease, isOwnerGone: true })),
    get: async (request) => {
      const job = await store.get(request);
      return job && timeless(job);
    },
    list: async (request) => {
      const { jobs, nextSeq } = await store.list(request);
      return { jobs: jobs.map(timeless), nextSeq };
    },
  };
}

/** The SQLite driver without its thread and its file: the same batches, the same statements. */
function createInMemorySqlite(isReopened: boolean) {
  const db = new DatabaseSync(":memory:");
  migrate(db);
  let commits = 0;
  const heard = {
    onDamage: (sentence: string) => assert.fail(sentence),
    onCommit: (count: number) => assert.equal(count, ++commits),
  };
  let executor = createExecutor(db, heard);
  let executed = 0;
  const batches: Batches = createBatches((batch) =>
    setImmediate(() => {
      const [answers] = executor.execute([batch]);
      executed += 1;
      if (isReopened && executed % 5 === 0) {
        executor.record();
        executor = createExecutor(db, heard);
      }
      batches.answered(answers!);
    }),
  );
  return {
    calls: createCalls(batches),
    close: () => {
      assertConsistent(db);
      db.close();
    },
  };
}

test("1,000 random sequences get the same answers from the SQLite driver's statements as from memory", async () => {
  await fc.assert(
    fc.asyncProperty(sequence, fc.boolean(), async (steps, isReopened) => {
      const { calls, close } = createInMemorySqlite(isReopened);
      const reference = createMemoryStore();
      if (isReopened) await compare(steps, withoutTimesOfLeases(reference), withoutTimesOfLeases(calls));
      else await compare(steps, reference, calls);
      close();
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
