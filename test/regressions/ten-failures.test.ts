/** The ten failures that come back in the issue trackers of job queues: each by name, and why it does not happen here. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, readFile } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { join } from "node:path";
import { suite, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { connect, echo as echoTask } from "../../clients/typescript/index.ts";
import { JobState } from "../../src/gen/millpond/v1/job_pb.ts";
import { ResultsRequestSchema } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { defaultRetryPolicy } from "../../src/job/backoff.ts";
import { transition } from "../../src/job/transition.ts";
import { openStore } from "../../src/store/open.ts";
import { openGate } from "../rpc/gate.ts";
import { data, echo, exchange, follow, idsOf, json, newChannel } from "../rpc/jobs.ts";
import { openRelay } from "../server/relay.ts";
import { leaseAll, newJob, newJobs, settlement, settling, t0, submit } from "../store/sample.ts";
import { makeRestartable } from "./restartable.ts";

const span = { startedAt: t0, finishedAt: t0 + 1 };

suite("the ten failures of job queues", () => {
  test("1. a job that blocks its thread for longer than its lease is not run twice", async (t) => {
    const { folder, start } = await makeRestartable(t, { leaseMs: 1_000 });
    const client = (await start()).client();
    const log = join(folder, "executions");

    const { result } = await client.run({ job: { task: "block", input: json({ forMs: 2_500, log }) } });

    assert.deepEqual([result?.state, result?.attempts], [JobState.SUCCEEDED, 1]);
    assert.equal(await readFile(log, "utf8"), "1\n");
  });

  for (const kind of ["memory", "sqlite"]) {
    test(`2. a sweep of lost leases does not overwrite finished work (${kind})`, async (t) => {
      const { folder } = await makeRestartable(t);
      const store = await openStore(kind === "memory" ? "memory" : join(folder, "sweep.sqlite"), {
        onFailure: (error) => assert.fail(error),
      });
      t.after(() => store.close());
      const job = newJob();
      await submit(store, [job]);
      const [lease] = await leaseAll(store);
      const leaseEnded = { now: t0 * 2, limit: 10 };
      const [swept] = await store.expired(leaseEnded);
      assert.ok(lease && swept?.seq === lease.seq, "the sweep has seen the job running");
      await store.settle([settlement(lease)]);

      const lost = transition(swept, { kind: "lost", died: null }, defaultRetryPolicy, span, () => 0);

      assert.deepEqual(await store.settle([settling(lease, lost)]), ["stale"]);
      assert.equal((await store.get({ client: job.client, id: job.id }))?.state, "SUCCEEDED");
      assert.deepEqual(await store.expired(leaseEnded), []);
    });
  }

  test("3. a job whose owner is gone is taken over, and nothing stays RUNNING", async (t) => {
    const { folder, start } = await makeRestartable(t);
    await mkdir(join(folder, "data"), { recursive: true });
    const store = await openStore(join(folder, "data", "millpond.sqlite"), {
      onFailure: (error) => assert.fail(error),
    });
    const jobs = newJobs(100, { submittedAt: 0, runAt: 0 });
    await submit(store, jobs);
    const leases = await leaseAll(store);
    assert.equal(leases.length, jobs.length);
    await store.close();
    const client = (await start()).client();

    const results = await follow(client, { channel: "default" }, jobs.length);

    assert.deepEqual(new Set(results.map(({ jobId }) => jobId)), new Set(jobs.map(({ id }) => id)));
    assert.ok(results.every(({ state, attempts }) => state === JobState.SUCCEEDED && attempts === 2));
    const { jobs: running } = await client.listJobs({ state: JobState.RUNNING });
    assert.deepEqual(running, []);
  });

  test("4. workers that die over and over are replaced and receive jobs again", async (t) => {
    const client = (await (await makeRestartable(t)).start()).client();
    for (let death = 0; death < 10; death += 1) {
      const { result } = await client.run({ job: { task: "dies", retry: { maxAttempts: 1 } } });
      assert.deepEqual([result?.state, result?.failure?.reason], [JobState.DEAD, "worker_died"]);
    }

    const { result } = await client.run({ job: echo("still here") });

    assert.equal(result?.state, JobState.SUCCEEDED);
    const { snapshot } = await client.stats({});
    const cpu = snapshot?.pools.find(({ pool }) => pool === "cpu");
    assert.deepEqual([cpu?.running, cpu?.queued], [0, 0n]);
  });

  test("5. a client whose server went away and came back settles every job", async (t) => {
    const { start } = await makeRestartable(t);
    const first = await start();
    const relay = await openRelay(first.grpcAddress);
    t.after(relay.close);
    const client = connect({ address: relay.address, client: "ada" });
    t.after(client.close);
    const inputs = Array.from({ length: 1_000 }, (_, index) => ({ index }));

    let server = first;
    const seen: number[] = [];
    for await (const { index, result } of client.map(echoTask, inputs, { concurrency: 100 })) {
      assert.deepEqual(result?.output, inputs[index]);
      seen.push(index);
      if (seen.length % 300 !== 0) continue;
      await server.stop();
      server = await start();
      relay.leadTo(server.grpcAddress);
    }

    assert.deepEqual(
      seen.toSorted((a, b) => a - b),
      inputs.map(({ index }) => index),
    );
  });

  test("6. a deploy costs no attempt: a job that may run once survives three of them", async (t) => {
    const gate = await openGate();
    t.after(gate.close);
    const { start } = await makeRestartable(t, { drainMs: 0, graceMs: 20 });
    const channel = newChannel();
    let server = await start();
    await server.client().submit({
      jobs: [{ task: "gate", channel, input: json({ port: gate.port }), retry: { maxAttempts: 1 } }],
    });
    for (let deploy = 0; deploy < 3; deploy += 1) {
      assert.equal((await gate.next()).attempt, 1);
      await server.stop();
      server = await start();
    }
    (await gate.next()).pass();

    const [result] = await follow(server.client(), { channel }, 1);

    assert.deepEqual([result?.state, result?.attempts], [JobState.SUCCEEDED, 1]);
  });

  test("8. a reader that does not read costs a bounded amount, and is ended", async (t) => {
    // so long that a busy machine makes no reader slow that does read
    const server = await (await makeRestartable(t, { slowReaderMs: 2_000 })).start();
    const client = server.client();
    const channel = newChannel();
    for (let sent = 0; sent < 2_000; sent += 50) {
      const jobs = Array.from({ length: 50 }, () => ({ task: "echo", channel, input: data(new Uint8Array(10_000)) }));
      await client.submit({ jobs });
    }
    const session = connectHttp2(`http://${server.grpcAddress}`);
    t.after(() => session.destroy());
    session.on("error", () => undefined);

    const call = session.request({
      ":method": "POST",
      ":path": "/millpond.v1.WorkerPoolService/Results",
      "content-type": "application/grpc",
      te: "trailers",
      "millpond-client": "ada",
    });
    call.on("error", () => undefined); // it is cut off
    const message = toBinary(ResultsRequestSchema, create(ResultsRequestSchema, { channel }));
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    call.end(Buffer.concat([prefix, message]));
    await once(call, "close"); // nobody reads from it

    const received = session.socket?.bytesRead ?? 0;
    assert.ok(received < 2 ** 20, `${received} bytes of 20 MB were sent to a reader that took none`);
    assert.equal((await follow(client, { channel }, 2_000)).length, 2_000, "who reads gets all of it");
  });

  test("9. every job that waits is counted as waiting, not hidden in the workers' hands", async (t) => {
    const gate = await openGate();
    t.after(gate.close);
    const pools = {
      cpu: { workers: 1 },
      io: { workers: 1 },
      held: { work: "io", concurrency: 1, workers: 2, maxQueued: 100 },
    };
    const client = (await (await makeRestartable(t, { pools })).start()).client();
    const jobs = Array.from({ length: 50 }, () => ({ task: "gate", input: json({ port: gate.port }) }));
    await client.submit({ jobs });
    const running = [await gate.next(), await gate.next()];

    const held = (await client.stats({})).snapshot?.pools.find(({ pool }) => pool === "held");

    assert.deepEqual([held?.running, held?.queued], [2, 48n]);
    for (const each of running) each.pass();
    gate.open();
  });

  test("10. a result that was ready when its reader had gone waits for the next reader", async (t) => {
    const gate = await openGate();
    t.after(gate.close);
    const client = (await (await makeRestartable(t)).start()).client();
    const channel = newChannel();
    const gone = exchange(client, { channel });
    gone.submit(1, [{ task: "gate", input: json({ port: gate.port }) }]);
    const [jobId = ""] = idsOf((await gone.next("accepted")).receipts);
    const running = await gate.next();

    gone.cut();
    running.pass();
    for await (const { update } of client.watchJob({ jobId })) if (update.case === "job" && update.value.result) break;

    const [result] = await follow(client, { channel }, 1);
    assert.deepEqual([result?.jobId, result?.state, result?.attempts], [jobId, JobState.SUCCEEDED, 1]);
  });
});
