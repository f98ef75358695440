import assert from "node:assert/strict";
import { test } from "node:test";
import { tryDispatcher } from "./try-dispatcher.ts";

test("jobs that ended are settled while their chunk goes on, and not again at its end", async (t) => {
  const { dispatcher, pool, put, settled, rest } = tryDispatcher(t, { workers: 1 });
  await put(300);
  await dispatcher.start();
  const isChunkOfSeveral = () => (pool.held[0]?.leases.length ?? 0) >= 3;
  for (await rest(); pool.held.length > 0 && !isChunkOfSeveral(); await rest()) pool.endAll();
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
  await rest();
  const seqs = settled.map(({ lease }) => lease.seq);
  assert.equal(new Set(seqs).size, seqs.length);
  assert.equal(settled.length, settledBefore + chunk.leases.length);
});
