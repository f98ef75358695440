import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { ExplainJobResponse_Cause as Cause } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { JobState } from "../../src/gen/millpond/v1/job_pb.ts";
import { AdminService } from "../../src/gen/millpond/v1/admin_pb.ts";
import { openServer, startedPools, ways } from "./fixtures.ts";
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

    test(`over ${way.name}: a Run in a paused pool waits, with its deadline, and is cancelled with its caller`, async () => {
      await admin.pausePool({ pool: "held" });
      const id = newId(Date.now());
      const hangUp = new AbortController();
      const run = client.run(
        { job: { id, task: "gate", input: json({ port: 1 }) } },
        { signal: hangUp.signal, timeoutMs: 600_000 },
      );
      const ended = assert.rejects(run);
      const found = async () => (await client.getJob({ jobId: id }).catch(() => undefined))?.job;
      await until(async () => (await found()) !== undefined);
      const job = await found();
      assert.deepEqual([job?.state, job?.expiresAt !== undefined], [JobState.QUEUED, true]);
      hangUp.abort();
      await ended;
      await until(async () => (await found())?.state === JobState.CANCELLED);
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

describe("ResizePool", async () => {
  const server = await openServer({ pools: startedPools });
  after(() => server.remove());

  for (const way of [ways.grpc, ways.connectHttp1]) {
    const admin = server.clientOf(AdminService, way);
    const client = server.client(way, "ada");
    const held = async () => (await client.stats({})).snapshot?.pools.find(({ pool }) => pool === "held");

    test(`over ${way.name}: bounds the workers at once, says what was before, and is taken back`, async () => {
      const resized = await admin.resizePool({ pool: "held", minWorkers: 0, maxWorkers: 5 });
      assert.equal(resized.changed, true);
      assert.deepEqual([resized.minWorkers, resized.maxWorkers], [0, 5]);
      assert.deepEqual([resized.previousMinWorkers, resized.previousMaxWorkers], [2, 2]);
      const row = await held();
      assert.deepEqual([row?.minWorkers, row?.maxWorkers], [0, 5]);
      assert.deepEqual([row?.resize?.by, row?.resize?.configuredMaxWorkers], ["anonymous", 2]);
      assert.equal((await admin.resizePool({ pool: "held", maxWorkers: 5 })).changed, false);

      const back = await admin.resizePool({ pool: "held", reset: true });

      assert.deepEqual([back.changed, back.minWorkers, back.maxWorkers, back.resize], [true, 2, 2, undefined]);
      assert.equal((await held())?.resize, undefined);
      assert.equal((await admin.resizePool({ pool: "held", reset: true })).changed, false);
    });

    test(`over ${way.name}: what is out of bounds is refused, with the field, the value and the bounds`, async () => {
      const cases = [
        [{ maxWorkers: 1025 }, "max_workers", "is 1025 and must be 1 to 1024"],
        [{ maxWorkers: 0 }, "max_workers", "is 0 and must be 1 to 1024"],
        [{ minWorkers: 5, maxWorkers: 4 }, "min_workers", "is 5 and must be 0 to max_workers, which is 4"],
        [{ minWorkers: 3 }, "min_workers", "is 3 and must be 0 to max_workers, which is 2"],
        [{ maxWorkers: 1 }, "max_workers", "is 1 and must be at least min_workers, which is 2"],
        [{}, "reset", "is false: set either it, or min_workers or max_workers or both"],
        [{ reset: true, minWorkers: 1 }, "reset", "is true: set either it, or min_workers or max_workers or both"],
      ] as const;
      for (const [request, field, says] of cases) {
        const error = await refused(admin.resizePool({ pool: "held", ...request }));
        assert.deepEqual([error.code, error.fields, error.message], ["InvalidArgument", [field], `${field}: ${says}`]);
      }
      assert.equal((await held())?.resize, undefined);
      const unknown = await refused(admin.resizePool({ pool: "hled", maxWorkers: 3 }));
      assert.deepEqual([unknown.reason, unknown.fields], ["unknown_pool", ["pool"]]);
    });
  }

  test("refuses a minimum that memory has no room for, with how many fit and the settings", async (t) => {
    const small = await openServer({ autoscale: { memoryMiB: 64 } });
    t.after(() => small.remove());
    const error = await refused(
      small.clientOf(AdminService, ways.grpc).resizePool({ pool: "cpu", minWorkers: 4, maxWorkers: 4 }),
    );
    assert.deepEqual([error.code, error.fields], ["InvalidArgument", ["min_workers"]]);
    assert.match(
      error.message,
      /^min_workers: is 4 and must be 0 to \d+: .*autoscale\.workerMiB.*64 MiB \(autoscale\.memoryMiB\)/,
    );
  });

  test("refuses a concurrency, which is the configuration's, as a field that it does not have", async () => {
    const response = await fetch(`http://${server.httpAddress}/millpond.v1.AdminService/ResizePool`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ pool: "held", concurrency: 8 }),
    });
    const { message } = (await response.json()) as { readonly message: string };
    assert.equal(response.status, 400);
    assert.match(message, /^concurrency: is no field of .*ResizePoolRequest, which has .*max_workers/);
  });
});

describe("AdvisePools", async () => {
  const server = await openServer({
    pools: { cpu: { workers: 1 }, io: { workers: 1 }, spare: { work: "limited", workers: 3 } },
  });
  after(() => server.remove());

  for (const way of [ways.grpc, ways.connectHttp1]) {
    test(`over ${way.name}: says of each pool how it is, and admits that too little is known`, async () => {
      await server.client(way).run({ job: { task: "echo", input: json(1) } });
      const { pools } = await server.clientOf(AdminService, way).advisePools({});
      assert.deepEqual(
        pools.map(({ pool, founded }) => [pool, founded]),
        [
          ["cpu", false],
          ["io", false],
          ["held", false],
          ["spare", false],
        ],
      );
      const { current, advised, why } = pools[3]!;
      assert.deepEqual([current?.work, current?.minWorkers, current?.maxWorkers], ["limited", 3, 3]);
      assert.deepEqual(advised, current);
      assert.match(why[0] ?? "", /^too little is known: 0 of 20 attempts/);
      assert.ok(Number(pools[0]?.attempts) >= 1);
    });
  }
});
