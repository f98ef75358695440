import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { ExplainJobResponse_Cause as Cause } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { JobState } from "../../src/gen/millpond/v1/job_pb.ts";
import { AdminService } from "../../src/gen/millpond/v1/admin_pb.ts";
import { openServer, ways } from "./fixtures.ts";
import { openGate } from "./gate.ts";
import { newId } from "../../src/job/id.ts";
import { until } from "../support/until.ts";
import { idsOf, json, newChannel } from "./jobs.ts";
import { refused } from "./refused.ts";

describe("PausePool and ResumePool", async () => {
  const server = await openServer();
  after(() => server.remove());
  const gateJob = (port: number) => ({ task: "gate", input: json({ port }), channel: newChannel() });

  for (const way of [ways.grpc, ways.connectHttp1]) {
    const admin = server.clientOf(AdminService, way);
    const client = server.client(way, "ada");
    const readyz = async () =>
      (await (await fetch(`http://${server.httpAddress}/readyz`)).json()) as {
        readonly status: string;
        readonly paused?: readonly { readonly pool: string }[];
      };
    const poolRow = async () => {
      const { snapshot } = await client.stats({});
      return snapshot?.pools.find(({ pool }) => pool === "held");
    };

    test(`over ${way.name}: what runs goes on, what is submitted waits, and a resume starts it`, async (t) => {
      const gate = await openGate();
      t.after(gate.close);
      await client.submit({ jobs: [gateJob(gate.port)] });
      const running = await gate.next();

      const paused = await admin.pausePool({ pool: "held" });

      assert.deepEqual([paused.changed, paused.pause?.by, paused.running], [true, "anonymous", 1]);
      const again = await server.clientOf(AdminService, way).pausePool({ pool: "held" });
      assert.deepEqual([again.changed, again.pause?.at], [false, paused.pause?.at]);
      const { receipts } = await client.submit({ jobs: [gateJob(gate.port)] });
      const [jobId = ""] = idsOf(receipts);
      running.pass();
      await running.ended;
      const why = await client.explainJob({ jobId });
      assert.deepEqual([why.cause, why.state], [Cause.PAUSED, JobState.QUEUED]);
      assert.match(
        why.text,
        /^pool "held" is paused by "anonymous" since \d{4}-.*: it starts once the pool is resumed$/,
      );
      assert.equal((await poolRow())?.pause?.by, "anonymous");
      const details = await readyz();
      assert.deepEqual([details.status, details.paused?.[0]?.pool], ["SERVING", "held"]);

      const resumed = await admin.resumePool({ pool: "held" });

      assert.deepEqual([resumed.changed, resumed.pause?.at], [true, paused.pause?.at]);
      const next = await gate.next();
      assert.equal(next.jobId, jobId);
      next.pass();
      const second = await admin.resumePool({ pool: "held" });
      assert.deepEqual([second.changed, second.pause], [false, undefined]);
      assert.equal((await poolRow())?.pause, undefined);
      assert.equal((await readyz()).paused, undefined);
    });

    test(`over ${way.name}: a Run in a paused pool waits as long as its deadline`, async () => {
      await admin.pausePool({ pool: "held" });
      const id = newId(Date.now());
      const job = { id, task: "gate", input: json({ port: 1 }) };
      await assert.rejects(client.run({ job }, { timeoutMs: 300 }), { rawMessage: /timed out|deadline/i });
      const state = async () => (await client.getJob({ jobId: id })).job?.state;
      await until(async () => (await state()) === JobState.DEAD);
      await admin.resumePool({ pool: "held" });
    });

    test(`over ${way.name}: a pool that is not there is refused, with the nearest name`, async () => {
      for (const call of [admin.pausePool({ pool: "hold" }), admin.resumePool({ pool: "hold" })]) {
        const error = await refused(call);
        assert.deepEqual([error.code, error.reason, error.fields], ["NotFound", "unknown_pool", ["pool"]]);
        assert.equal(error.message, 'no pool is named "hold"; there are: cpu, io, held: did you mean "held"?');
      }
    });
  }
});
