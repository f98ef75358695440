/** A pool whose threads do not start: the server says so to whoever asks, and goes on with its other pools. */
import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { parseConfig } from "../../src/config.ts";
import { HealthCheckResponse_ServingStatus as Status, Health } from "../../src/gen/grpc/health/v1/health_pb.ts";
import { JobState } from "../../src/gen/millpond/v1/job_pb.ts";
import { startServer } from "../../src/server.ts";
import { createClient } from "@connectrpc/connect";
import { clientOf, makeFolder, settings, ways } from "./fixtures.ts";
import { echo } from "./jobs.ts";

test("health is NOT_SERVING while the threads of one pool among several do not start, and SERVING once they do", async (t) => {
  const folder = await makeFolder();
  const mark = join(folder.path, "mark");
  await writeFile(mark, "");
  await writeFile(
    join(folder.path, "tasks", "fragile.mjs"),
    // the thread that looks through the folder at the start comes first, and finds nothing wrong
    `import { existsSync, writeFileSync } from "node:fs";
    const looked = ${JSON.stringify(join(folder.path, "looked"))};
    if (existsSync(looked) && existsSync(${JSON.stringify(mark)})) process.exit(5);
    writeFileSync(looked, "");
    export { default } from ${JSON.stringify(new URL("./tasks/fragile.ts", import.meta.url).href)};`,
  );
  const text = JSON.stringify(settings(folder.path, { pools: { fragile: { work: "io", workers: 1 } } }));
  const config = parseConfig({ file: { name: "test.yaml", text }, env: {}, flags: {}, cores: 2 });
  const server = await startServer(config, {});
  t.after(async () => {
    await server.stop();
    await folder.remove();
  });
  const readyz = async () => {
    const response = await fetch(`http://${server.httpAddress}/readyz`);
    return [response.status, await response.json()];
  };
  const all = [ways.grpc, ways.connectHttp1].map((way) => createClient(Health, way.transport(server)));
  const watches = all.flatMap((health) =>
    ["", "millpond.v1.WorkerPoolService"].map((service) => health.watch({ service })[Symbol.asyncIterator]()),
  );
  const says = () => Promise.all(watches.map(async (watch) => (await watch.next()).value?.status));

  assert.deepEqual(await says(), Array(4).fill(Status.SERVING));
  assert.deepEqual(await says(), Array(4).fill(Status.NOT_SERVING));
  const message = 'pool "fragile" has no worker that could run a job: the server\'s log says why';
  const reasons = [{ reason: "pool_broken", message, pool: "fragile" }];
  assert.deepEqual(await readyz(), [503, { status: "NOT_SERVING", reasons }]);
  for (const health of all) {
    const check = async (service: string) => (await health.check({ service })).status;
    assert.deepEqual(
      [await check(""), await check("millpond.v1.WorkerPoolService")],
      Array(2).fill(Status.NOT_SERVING),
    );
    assert.equal(await check("millpond.v1.AdminService"), Status.SERVING, "for those who come to mend it");
  }
  const brokenPools = async () => {
    const { snapshot } = await clientOf(server, ways.grpc).stats({});
    return snapshot?.pools.filter(({ broken }) => broken).map(({ pool }) => pool);
  };
  assert.deepEqual(await brokenPools(), ["fragile"]);
  const { result } = await clientOf(server, ways.grpc).run({ job: echo("beside it") });
  assert.equal(result?.state, JobState.SUCCEEDED);

  await rm(mark);
  assert.deepEqual(await says(), Array(4).fill(Status.SERVING)); // although no job asked for a thread
  assert.deepEqual(await readyz(), [200, { status: "SERVING" }]);
  assert.deepEqual(await brokenPools(), []);
});
