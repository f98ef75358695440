/** Leases end, and what runs keeps its own. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { JobState } from "../../src/gen/millpond/v1/job_pb.ts";
import { follow, json, newChannel } from "../rpc/jobs.ts";
import { clientAt, makePlace } from "./place.ts";
import { until } from "../support/until.ts";

test("a task that blocks its thread for several times its lease runs once", async (t) => {
  const { start, folder } = await makePlace(t);
  const server = await start(["--lease-ms", "1000"]);
  const client = clientAt(server);
  const path = join(folder, "go");
  const channel = newChannel();
  await client.submit({ jobs: [{ task: "spin", input: json({ path }), channel }] });
  await until(() => existsSync(`${path}.begun`));

  const second = { task: "sleep", input: json({ durationMs: 1_000 }) };
  await client.submit({ jobs: [second, second, second, second, second, second] }); // three seconds on two workers
  await follow(client, { channel: "default" }, 6);
  await writeFile(path, "");

  const [result] = await follow(client, { channel }, 1);
  assert.deepEqual([result?.state, result?.attempts], [JobState.SUCCEEDED, 1]);
});
