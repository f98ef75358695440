/** `AdminService.ListClients`: the traffic of clients, for those who run the server. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AdminService } from "../../src/gen/millpond/v1/admin_pb.ts";
import { openServer, ways } from "./fixtures.ts";
import { echo, follow, newChannel } from "./jobs.ts";
import { refused } from "./refused.ts";

test("ListClients shows each client's own numbers, the busiest first, and no more than was asked for", async (t) => {
  const server = await openServer();
  t.after(server.remove);
  for (const [name, jobs] of [["ada", 3] as const, ["ben", 1] as const]) {
    const [client, channel] = [server.client(ways.grpc, name), newChannel()];
    await client.submit({ jobs: Array.from({ length: jobs }, () => echo(1, { channel })) });
    await follow(client, { channel }, jobs);
  }
  await refused(server.client(ways.grpc, "eve").submit({ jobs: [{ task: "no.such.task" }] }));

  const admin = server.clientOf(AdminService, ways.grpc);
  const { clients, known } = await admin.listClients({});
  assert.deepEqual(
    clients.map(({ client, accepted, refused: all, running }) => [client, accepted, all, running]),
    [
      ["ada", 3n, 0n, 0],
      ["ben", 1n, 0n, 0],
      ["eve", 0n, 1n, 0],
    ],
  );
  assert.deepEqual([clients[2]?.refusedBy[0]?.reason, clients[2]?.refusedBy[0]?.jobs], ["unknown_task", 1n]);
  assert.equal(known, 3);
  assert.deepEqual(
    (await admin.listClients({ limit: 1 })).clients.map(({ client }) => client),
    ["ada"],
  );
  assert.deepEqual((await refused(admin.listClients({ limit: 1001 }))).fields, ["limit"]);
});
