/** A network that breaks in the middle of the handshake: the server's port takes connections, and nothing comes back. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { createConnection } from "../../../clients/typescript/index.ts";
import { SubmitRequestSchema, WorkerPoolService } from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import { startFakeServer } from "./fake-server.ts";

test("a connection on which the server says nothing is given up, its calls fail, and the next one is made anew", {
  timeout: 20_000,
}, async (t) => {
  const server = await startFakeServer();
  const sockets = new Set<Socket>();
  let isSilent = true;
  const proxy = createServer((near) => {
    sockets.add(near);
    near.on("error", () => undefined);
    if (isSilent) return void near.resume();
    const far = connect(Number(server.address.split(":")[1]), "127.0.0.1");
    far.on("error", () => undefined);
    sockets.add(far);
    near.pipe(far).pipe(near);
    return undefined;
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const { port } = proxy.address() as AddressInfo;
  const connection = createConnection({ address: `127.0.0.1:${port}`, keepaliveMs: 0, handshakeMs: 200 });
  t.after(() => {
    connection.close();
    for (const socket of sockets) socket.destroy();
    proxy.close();
    server.stop();
  });
  const submit = () =>
    connection.unary(WorkerPoolService.method.submit, create(SubmitRequestSchema, { jobs: [] }), Infinity);

  await assert.rejects(submit(), { codeName: "UNAVAILABLE" });
  const streamed = new Promise((resolve) => {
    connection.exchange({ onResponse() {}, onDrain() {}, onEnd: resolve });
  });
  assert.equal(((await streamed) as { codeName?: string } | undefined)?.codeName, "UNAVAILABLE");
  isSilent = false;
  await submit();
});
