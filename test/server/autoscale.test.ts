/** Pools of a real server follow their load. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { PoolStats } from "../../src/gen/millpond/v1/stats_pb.ts";
import { runHere } from "../cli/here.ts";
import { outputOf } from "../cli/run.ts";
import { startMillpond } from "../cli/server.ts";
import { follow, json, newChannel } from "../rpc/jobs.ts";
import { until } from "../support/until.ts";
import { clientAt } from "./place.ts";

test("a burst takes a pool from two to ten workers and back, and Stats and pools list say why", async (t) => {
  const pools = "{cpu: {workers: 1}, io: {workers: {min: 2, max: 10}, concurrency: 1}}";
  const server = await startMillpond(["--pools", pools, "--autoscale-idle-ms", "2000", "--store", "memory"]);
  t.after(server.dispose);
  const client = clientAt(server);
  let io: PoolStats | undefined;
  const look = async (isSo: (pool: PoolStats) => boolean) => {
    io = (await client.stats({})).snapshot?.pools.find(({ pool }) => pool === "io");
    return isSo(io!);
  };
  assert.ok(await look(({ target }) => target === 2));

  const channel = newChannel();
  const short = { task: "sleep", input: json({ durationMs: 100 }), channel };
  await client.submit({ jobs: Array.from({ length: 300 }, () => short) });
  await until(() => look(({ workers, target }) => workers === 10 && target === 10));
  const growth = io!.decisions.toReversed();
  const list = await runHere(["pools", "list"], { env: { MILLPOND_ADDRESS: server.serving.grpc } });
  await follow(client, { channel }, 300);
  await until(() => look(({ workers, target }) => workers === 2 && target === 2));

  assert.deepEqual([growth[0]?.from, growth[0]?.to, growth.at(-1)?.to], [2, 4, 10]);
  for (const { from, to } of growth) assert.ok(to <= 2 * from);
  assert.equal(growth[0]!.why, "more than 5 jobs wait for each of 2 workers");
  assert.match(outputOf(list), /^\d{4}-\S+ \S+ +io +2 → 4 +more than 5 jobs wait for each of 2 workers$/m);
  assert.match(io!.decisions[0]!.why, /^(none|no more than \d) of \d+ workers (was|were) needed for 2 s$/);
});
