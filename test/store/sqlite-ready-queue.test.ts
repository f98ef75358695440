/** Jobs that are submitted and leased in one transaction need no row in the queue. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { createReadyQueue, type FreshJob, type ReadyQueue } from "../../src/store/sqlite/jobs/ready-queue.ts";
import { createSql } from "../../src/store/sqlite/thread/connection.ts";
import { migrate } from "../../src/store/sqlite/thread/migrate.ts";

const [cpu, gpu, now] = [1, 2, 1_000];

function tryQueue() {
  const db = new DatabaseSync(":memory:");
  migrate(db);
  return {
    queue: createReadyQueue(createSql(db)),
    written: () => db.prepare("SELECT count(*) AS rows FROM waiting").get()!.rows,
  };
}

function submitted(queue: ReadyQueue, pool: number, seq: number, runAt = now, priority = 0): FreshJob {
  const job = { ...{ seq, client: 1, channel: 1, pool, priority, runAt }, expiresAt: null, record: new Uint8Array(10) };
  queue.add([pool, 0, priority, runAt, seq, null], job);
  return job;
}

test("they are leased unwritten also while others of the pool wait for a later time, which is told", () => {
  const { queue, written } = tryQueue();
  for (const priority of [0, 5]) queue.add([cpu, 0, priority, now + 100 - priority, 10 + priority, null]);
  queue.flush();
  const job = submitted(queue, cpu, 20);
  assert.deepEqual(queue.takeFresh(cpu, now, 9, Infinity), { jobs: [job], nextDueAt: now + 95 });
  submitted(queue, cpu, 21, now + 50);
  submitted(queue, cpu, 22);
  assert.equal(queue.takeFresh(cpu, now, 9, Infinity)?.nextDueAt, now + 50);
  assert.equal(written(), 2);
});

test("they are leased until their bytes are too many, and the others are due at once", () => {
  const { queue, written } = tryQueue();
  const [first, second] = [submitted(queue, cpu, 20), submitted(queue, cpu, 21)];
  submitted(queue, cpu, 22);
  const maxBytes = 11;
  assert.deepEqual(queue.takeFresh(cpu, now, 9, maxBytes), { jobs: [first, second], nextDueAt: now });
  queue.flush();
  assert.equal(written(), 1);
});

test("they take their turn behind others that are due", () => {
  const { queue } = tryQueue();
  queue.add([cpu, 0, 0, now + 100, 10, null]);
  queue.add([cpu, 0, -5, now, 11, null]);
  queue.flush();
  submitted(queue, cpu, 20);
  assert.equal(queue.takeFresh(cpu, now, 9, Infinity), undefined);
});

test("a lease of one pool writes none of another", () => {
  const { queue, written } = tryQueue();
  const job = submitted(queue, gpu, 20);
  submitted(queue, cpu, 21);
  assert.deepEqual([...queue.priorities(cpu, 0)], [0]);
  assert.deepEqual(queue.overdue(cpu, now, 9), []);
  assert.equal(written(), 1);
  assert.deepEqual(queue.takeFresh(gpu, now, 9, Infinity)?.jobs, [job]);
});
