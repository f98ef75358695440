import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { createLeaseKeeper, type LeaseKeeperParts } from "../../../src/engine/dispatch/lease-keeper.ts";
import type { Lease } from "../../../src/job/job.ts";
import type { Extended, ExtendRequest } from "../../../src/store/store.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";
import { keptLog, newLease } from "../../support/samples.ts";
import { t0 } from "../../store/sample.ts";

const leaseMs = 30_000;

async function open(t: TestContext, overrides: Partial<LeaseKeeperParts> = {}) {
  const clock = createFakeClock(t0);
  const held: Lease[] = [];
  const asked: ExtendRequest[] = [];
  const answers = new Map<number, Extended>();
  const cancelled: number[] = [];
  const abandoned: number[] = [];
  const renewed: number[] = [];
  const errors: unknown[] = [];
  const { log, lines } = keptLog();
  const keeper = createLeaseKeeper({
    ...{ clock, leaseMs, log },
    store: {
      async extend(request) {
        asked.push(request);
        return request.leases.map(({ seq }) => answers.get(seq) ?? "held");
      },
    },
    held: () => held,
    cancel: ({ seq }) => void cancelled.push(seq),
    abandon: ({ seq }) => void abandoned.push(seq),
    renewed: (atMs) => void renewed.push(atMs),
    onError: (error) => void errors.push(error),
    ...overrides,
  });
  await keeper.start();
  t.after(() => keeper.stop());
  const pass = async (ms: number) => {
    clock.advance(ms);
    for (let turns = 0; turns < 10; turns += 1) await turn();
  };
  return { keeper, clock, held, asked, answers, cancelled, abandoned, renewed, errors, lines, pass };
}

test("everything that is held is renewed three times a lease, whatever the job does", async (t) => {
  const { held, asked, pass } = await open(t);
  const [one, two] = [newLease({ fence: 3 }), newLease()];
  held.push(one);
  await pass(9_999);
  assert.equal(asked.length, 0);
  await pass(1);
  held.push(two);
  await pass(10_000);
  assert.deepEqual(
    asked.map(({ leases, now, ...lasts }) => [
      leases.map(({ seq, fence }) => `${seq}:${fence}`),
      now - t0,
      lasts.leaseMs,
    ]),
    [
      [[`${one.seq}:3`], 10_000, leaseMs],
      [[`${one.seq}:3`, `${two.seq}:1`], 20_000, leaseMs],
    ],
  );
});

test("a wall clock that is set does not put a renewal off", async (t) => {
  const { held, asked, pass, clock } = await open(t);
  held.push(newLease());
  clock.jump(-86_400_000);
  await pass(10_000);
  assert.equal(asked.length, 1);
});

test("nothing is asked of the store while nothing is held", async (t) => {
  const { asked, pass } = await open(t);
  await pass(60_000);
  assert.deepEqual(asked, []);
});

test("many leases are renewed in bounded batches, one after the other", async (t) => {
  const { held, asked, pass } = await open(t);
  held.push(...Array.from({ length: 2_300 }, () => newLease()));
  await pass(10_000);
  assert.deepEqual(
    asked.map(({ leases }) => leases.length),
    [1_000, 1_000, 300],
  );
});

test("a job that was cancelled meanwhile is asked to stop", async (t) => {
  const { held, answers, cancelled, pass, keeper, lines } = await open(t);
  const lease = newLease();
  held.push(newLease(), lease);
  answers.set(lease.seq, "cancelling");
  await pass(10_000);
  assert.deepEqual(cancelled, [lease.seq]);
  assert.deepEqual([keeper.lost(), lines.length], [0, 0]);
});

test("an attempt whose lease another has settled is abandoned, counted and logged", async (t) => {
  const { held, answers, cancelled, abandoned, pass, keeper, lines } = await open(t);
  const lease = newLease();
  held.push(lease, newLease());
  answers.set(lease.seq, "lost");
  await pass(10_000);
  assert.deepEqual([cancelled, abandoned], [[], [lease.seq]]);
  assert.equal(keeper.lost(), 1);
  assert.deepEqual(
    lines.map(({ level, fields }) => [level, fields["job"]]),
    [["warn", lease.id]],
  );
});

test("a renewal counts from when it was asked for, not from its answer", async (t) => {
  const { held, renewed, pass, clock } = await open(t);
  held.push(newLease());
  const startedMs = clock.monotonicMs();
  await pass(10_000);
  assert.deepEqual(renewed, [startedMs + 10_000]);
});

test("a job that ended while its lease was being renewed has lost nothing", async (t) => {
  const { held, answers, cancelled, pass, keeper } = await open(t, {
    store: {
      async extend({ leases }) {
        held.length = 0; // it was settled before the store answered
        return leases.map(() => "lost");
      },
    },
  });
  held.push(newLease());
  await pass(10_000);
  assert.deepEqual([cancelled, keeper.lost(), answers.size], [[], 0, 0]);
});

test("once stopped it renews nothing, and a store that failed is told once", async (t) => {
  const error = new Error("gone");
  const { held, keeper, clock, errors, pass } = await open(t, { store: { extend: () => Promise.reject(error) } });
  held.push(newLease());
  await pass(10_000);
  await pass(60_000);
  assert.deepEqual(errors, [error]);
  await keeper.stop();
  assert.equal(clock.timers(), 0);
});
