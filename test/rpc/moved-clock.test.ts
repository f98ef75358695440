/** A machine whose clock is set while the server runs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openServer, ways } from "./fixtures.ts";
import { echo } from "./jobs.ts";

for (const way of [ways.grpc, ways.connectHttp1]) {
  for (const hours of [-1, 1]) {
    test(`Run over ${way.name} has the call's deadline, also when the clock was set by ${hours} h`, async (t) => {
      const server = await openServer();
      t.after(() => server.remove());
      const { now } = Date;
      t.mock.method(Date, "now", () => now() + hours * 3_600_000);

      const client = server.client(way);
      const { result } = await client.run({ job: echo("x") }, { timeoutMs: 30_000 });
      const { job } = await client.getJob({ jobId: result?.jobId ?? "" });

      const left = Number(job?.expiresAt?.seconds) * 1000 - now();
      assert.ok(left > 0 && left <= 31_000, `${left} ms are left of 30 s`);
    });
  }
}
