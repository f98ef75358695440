import assert from "node:assert/strict";
import { test } from "node:test";
import { turn } from "../../support/fake-clock.ts";
import { tryDispatcher } from "./try-dispatcher.ts";

test("jobs that ended are settled while their chunk goes on, and not again at its end", async (t) => {
  const { dispatcher, pool, put, settled } = tryDispatcher(t, { workers: 1 });
  await put(300);
  await dispatcher.start();
  for (let turns = 0; turns < 1000 && (pool.held[0]?.leases.length ?? 0) < 3; turns += 1) {
    pool.endAll();
    await turn();
  }
  const chunk = pool.held[0];
  assert.ok(chunk && chunk.leases.length >= 3);
  const [runningBefore, settledBefore] = [dispatcher.running(), settled.length];

  chunk.endFirst(2);

  assert.equal(dispatcher.running(), runningBefore - 2);
  assert.deepEqual(
    settled.slice(settledBefore).map(({ lease }) => lease.seq),
    chunk.leases.slice(0, 2).map(({ seq }) => seq),
  );
  const held = new Set(dispatcher.held().map(({ seq }) => seq));
  assert.deepEqual(
    chunk.leases.map(({ seq }) => held.has(seq)),
    chunk.leases.map((_, index) => index >= 2),
  );
  chunk.end();
  await turn();
  const seqs = settled.map(({ lease }) => lease.seq);
  assert.equal(new Set(seqs).size, seqs.length);
  assert.equal(settled.length, settledBefore + chunk.leases.length);
});
