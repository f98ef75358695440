/** How large the store is, as those see it who have to find room for it. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { connect } from "../../../clients/typescript/index.ts";
import { runHere } from "../here.ts";
import { startMillpond } from "../server.ts";

test("Stats says how large the store is and how much of it is free, for programs and for people", async (t) => {
  const server = await startMillpond(["--log-level", "silent"]);
  t.after(() => server.dispose());
  await using client = connect({ address: server.serving.grpc, client: "a" });
  await client.run("fail", { reason: "bad", message: "x".repeat(4_000) }, { timeoutMs: 60_000 });
  const { store } = await client.stats();
  assert.ok(store.sizeBytes >= statSync(server.serving.store).size, "the main file is part of it");
  assert.ok(store.sizeBytes < 2 ** 20 && store.freeBytes < store.sizeBytes);

  const env = { MILLPOND_ADDRESS: server.serving.grpc };
  const { stdout } = await runHere(["stats"], { env });
  assert.match(stdout, /^up [^;]+; store \d+ KiB, (\d+ bytes|[\d.]+ KiB) of it free; client anonymous: /);
  const snapshot = JSON.parse((await runHere(["stats", "--json"], { env })).stdout) as { store: object };
  assert.deepEqual(Object.keys(snapshot.store), ["sizeBytes", "freeBytes"]);
});

test("a store in memory takes nothing of the disk", async (t) => {
  const server = await startMillpond(["--log-level", "silent", "--store", "memory"]);
  t.after(() => server.dispose());
  const { stdout } = await runHere(["stats"], { env: { MILLPOND_ADDRESS: server.serving.grpc } });
  assert.match(stdout, /^up [^;]+; store in memory; client /);
});
