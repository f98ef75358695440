/** A whole server whose tasks need something that is away. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { HealthCheckResponse_ServingStatus as Status, Health } from "../../src/gen/grpc/health/v1/health_pb.ts";
import { AdminService } from "../../src/gen/millpond/v1/admin_pb.ts";
import { JobState } from "../../src/gen/millpond/v1/job_pb.ts";
import { openServer, ways } from "../rpc/fixtures.ts";

const resource = `import { connect } from "node:net";
import { once } from "node:events";
import { defineResource } from "millpond";
async function open(port, signal) {
  const socket = connect(port, "127.0.0.1");
  const answer = once(socket, "data", { signal }).then(() => true);
  const hasAnswered = await Promise.race([answer, once(socket, "close", { signal }).then(() => false)]);
  socket.destroy();
  if (!hasAnswered) throw new Error("hung up");
}
export const billing = defineResource({
  name: "billing",
  settings: ({ port }) => ({ port }),
  permits: () => ({ connections: 3 }),
  setup: ({ settings }) => ({ ask: (signal) => open(settings.port, signal) }),
  async probe(value, signal) {
    await value.ask(signal);
  },
});`;
const task = `import { defineTask } from "millpond";
import { billing } from "./billing.mjs";
export default defineTask({
  name: "bill",
  pool: "io",
  resources: { billing },
  run: (_, { resources, signal }) => resources.billing.ask(signal),
});`;

test("a database that is away at the start is told by health and Stats, and stops neither the server nor other jobs", async (t) => {
  let isAway = true;
  const database = createServer((socket) => void socket.on("error", () => {}).end(isAway ? "" : "hello"));
  await once(database.listen(0, "127.0.0.1"), "listening");
  t.after(() => database.close());
  const { port } = database.address() as { port: number };
  const server = await openServer({ resources: { billing: { port } } }, { "billing.mjs": resource, "bill.mjs": task });
  t.after(() => server.remove());
  const health = server.clientOf(Health, ways.grpc);
  const client = server.client(ways.grpc);
  const says = health.watch({ service: "millpond.resource/billing" })[Symbol.asyncIterator]();
  const said = async () => (await says.next()).value?.status;
  let status = await said();
  if (status === Status.SERVING) status = await said();
  assert.equal(status, Status.NOT_SERVING);
  assert.equal((await health.check({})).status, Status.SERVING);
  assert.equal((await fetch(`http://${server.httpAddress}/readyz`)).status, 200);
  const { snapshot } = await client.stats({});
  const billing = snapshot?.resources.find((each) => each.resource === "billing");
  assert.deepEqual(
    billing?.parts.map(({ part, problem }) => [part, problem]),
    [["", "hung up"]],
  );
  assert.deepEqual(
    billing?.permits.map(({ permits, limit, held }) => [permits, limit, held]),
    [["connections", 3, 0]],
  );
  const { resize } = await server
    .clientOf(AdminService, ways.grpc)
    .resizePool({ pool: "io", minWorkers: 0, maxWorkers: 2 });
  assert.equal(resize?.configuredMinWorkers, 0);
  const io = (await client.stats({})).snapshot?.pools.find(({ pool }) => pool === "io");
  assert.deepEqual([io?.minWorkers, io?.workers], [0, 1], "the one that probes is no minimum of the pool");
  const done = await client.run({ job: { task: "echo" } });
  assert.equal(done.result?.state, JobState.SUCCEEDED);

  isAway = false;
  assert.equal(await said(), Status.SERVING);
  assert.equal((await client.run({ job: { task: "bill" } })).result?.state, JobState.SUCCEEDED);
});
