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

test("a burst takes a pool from two to ten workers and back, and Stats says why", async (t) => {
  const pools = "{cpu: {workers: 1}, io: {workers: {min: 2, max: 10}}}";
  const server = await startMillpond(["--pools", pools, "--autoscale-idle-ms", "500", "--store", "memory"]);
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
  await follow(client, { channel }, 300);
  await until(() => look(({ workers, target }) => workers === 2 && target === 2));

  const list = await runHere(["pools", "list"], { env: { MILLPOND_ADDRESS: server.serving.grpc } });
  assert.match(outputOf(list), /^\d{4}-\S+ \S+ +io +2 → 4 +more than 5 jobs wait for each of 2 workers$/m);
  const [last, ...before] = io!.decisions;
  assert.match(last!.why, /^no more than \d of \d+ workers were needed for 0\.5 s$/);
  const growth = before.filter(({ from, to }) => to > from).toReversed();
  assert.deepEqual(
    growth.map(({ from, to }) => [from, to]),
    [
      [2, 4],
      [4, 8],
      [8, 10],
    ],
  );
  assert.equal(growth[0]!.why, "more than 5 jobs wait for each of 2 workers");
});
