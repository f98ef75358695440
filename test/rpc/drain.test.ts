/** `AdminService.Drain`: the door is shut, what runs goes on, and everybody is told. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:http2";
import { text } from "node:stream/consumers";
import { describe, test, type TestContext } from "node:test";
import { HealthCheckResponse_ServingStatus as Status, Health } from "../../src/gen/grpc/health/v1/health_pb.ts";
import { AdminService } from "../../src/gen/millpond/v1/admin_pb.ts";
import { JobState } from "../../src/gen/millpond/v1/job_pb.ts";
import { ExchangeNotice_Kind as Notice } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { openServer, ways } from "./fixtures.ts";
import { openGate } from "./gate.ts";
import { echo, exchange, json, later, newChannel } from "./jobs.ts";
import { refused } from "./refused.ts";
import { until } from "../support/until.ts";

async function open(t: TestContext) {
  const [server, gate] = [await openServer(), await openGate()];
  t.after(async () => {
    await gate.close(); // what still runs fails, and is not tried again before the stop
    await server.remove();
  });
  return { server, gate, job: { task: "gate", input: json({ port: gate.port }) } };
}

describe("Drain", () => {
  for (const way of Object.values(ways)) {
    test(`over ${way.name} refuses jobs, says NOT_SERVING, lets run what runs, and tells how much that is`, async (t) => {
      const { server, gate, job } = await open(t);
      const admin = server.clientOf(AdminService, way);
      const [health, own] = [server.clientOf(Health, way), server.client(way)];
      await own.submit({ jobs: [job, echo("stays", later)] });
      const held = await gate.next();
      const statuses = health.watch({ service: "" })[Symbol.asyncIterator]();
      const before = (await statuses.next()).value?.status;
      const answer = await admin.drain({});
      const after = (await statuses.next()).value?.status;
      const again = await admin.drain({});
      const submit = await refused(own.submit({ jobs: [echo("too late")] }));
      const run = await refused(own.run({ job: echo("too late") }));
      const shown = (await own.getJob({ jobId: held.jobId })).job;
      const waited = admin.drain({ wait: { seconds: 3_600n } });
      held.pass();
      const { running, queued } = await waited;

      assert.deepEqual([before, after], [Status.SERVING, Status.NOT_SERVING]);
      assert.equal((await health.check({ service: "millpond.v1.WorkerPoolService" })).status, Status.NOT_SERVING);
      assert.deepEqual([answer.running, answer.queued, again.running], [1, 1n, 1]);
      for (const error of [submit, run]) assert.deepEqual([error.code, error.reason], ["Unavailable", "draining"]);
      assert.equal(shown?.state, JobState.RUNNING);
      assert.deepEqual([running, queued], [0, 1n]);
      assert.equal((await own.getJob({ jobId: held.jobId })).job?.state, JobState.SUCCEEDED);
    });
  }

  test("refuses to wait longer than an hour, or less than nothing, and does not drain then", async (t) => {
    const { server } = await open(t);
    const admin = server.clientOf(AdminService, ways.grpc);
    for (const wait of [{ seconds: 3_601n }, { seconds: -1n }, { seconds: 1n, nanos: -1 }]) {
      const error = await refused(admin.drain({ wait }));
      assert.deepEqual([error.reason, error.fields], ["invalid_argument", ["wait"]]);
    }
    assert.equal((await server.clientOf(Health, ways.grpc).check({})).status, Status.SERVING);
  });

  test("answers when its time is over, also while jobs run", async (t) => {
    const { server, gate, job } = await open(t);
    await server.client(ways.grpc).submit({ jobs: [job] });
    await gate.next();
    const { running } = await server.clientOf(AdminService, ways.grpc).drain({ wait: { nanos: 50_000_000 } });
    assert.equal(running, 1);
  });

  test("a Run whose job waits is told at once, and its job is cancelled unless it could be met again", async (t) => {
    const { server } = await open(t);
    const own = server.client(ways.grpc);
    const id = "0198a3b4-0000-7000-8000-00000000000a";
    const calls = [own.run({ job: echo("nameless", later) }), own.run({ job: echo("named", { id, ...later }) })];
    await until(async () => (await own.listJobs({})).jobs.length === 2);
    const ends = Promise.all(calls.map((call) => refused(call)));
    await server.clientOf(AdminService, ways.grpc).drain({});
    for (const error of await ends) assert.deepEqual([error.code, error.reason], ["Unavailable", "draining"]);
    const { jobs } = await own.listJobs({});
    const stateOf = (isNamed: boolean) => jobs.find((job) => (job.id === id) === isNamed)?.state;
    assert.deepEqual([stateOf(false), stateOf(true)], [JobState.CANCELLED, JobState.QUEUED]);
  });

  test("an Exchange is told, goes on with its results, and is refused more jobs", async (t) => {
    const { server, gate, job } = await open(t);
    const stream = exchange(server.client(ways.grpc), { channel: newChannel() });
    stream.submit(1, [job]);
    const held = await gate.next();
    await server.clientOf(AdminService, ways.grpc).drain({});
    const notice = await stream.next("notice");
    stream.submit(2, [echo("too late")]);
    await stream.next("accepted");
    const { receipts } = await stream.next("accepted");
    held.pass();
    const [result] = await stream.results(1);
    stream.end();
    await stream.rest();

    assert.equal(notice.kind, Notice.DRAINING);
    assert.ok(receipts[0]?.receipt.case === "refusal" && receipts[0].receipt.value.reason === "draining");
    assert.deepEqual([result?.jobId, result?.state], [held.jobId, JobState.SUCCEEDED]);
  });
});

describe("connections, when the server drains,", () => {
  test("to the gRPC port get GOAWAY, and later ones are served", async (t) => {
    const { server } = await open(t);
    const session = connect(`http://${server.grpcAddress}`);
    t.after(() => session.destroy());
    await once(session, "remoteSettings");
    const goaway = once(session, "goaway");
    await server.clientOf(AdminService, ways.connectHttp1).drain({});
    const [code] = (await goaway) as [number];
    assert.equal(code, 0);
    assert.equal((await server.clientOf(Health, ways.grpc).check({})).status, Status.NOT_SERVING);
  });

  test("to the HTTP port are closed after their next answer", async (t) => {
    const { server } = await open(t);
    const ask = async () => {
      const asked = request(`http://${server.httpAddress}/healthz`, { headers: { connection: "keep-alive" } }).end();
      const [response] = await once(asked, "response");
      await text(response);
      return response.headers.connection as string;
    };
    assert.equal(await ask(), "keep-alive");
    await server.clientOf(AdminService, ways.grpc).drain({});
    assert.equal(await ask(), "close");
  });
});
