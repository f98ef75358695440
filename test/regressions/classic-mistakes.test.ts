/** The mistakes that worker pools are known for, each of them made against a real server. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { suite, test } from "node:test";
import { connect, echo as echoTask, type MillpondClientError } from "../../clients/typescript/index.ts";
import { JobState } from "../../src/gen/millpond/v1/job_pb.ts";
import type { PoolClient } from "../rpc/fixtures.ts";
import { openGate } from "../rpc/gate.ts";
import { data, echo, exchange, fates, idsOf, json, newChannel } from "../rpc/jobs.ts";
import { clientAt, makePlace } from "../server/place.ts";
import { makeRestartable } from "./restartable.ts";
import { until } from "../support/until.ts";

/** What a call fails with. */
async function errorOf(call: Promise<unknown>): Promise<MillpondClientError> {
  return call.then(
    () => assert.fail("the call succeeded"),
    (error: unknown) => error as MillpondClientError,
  );
}

async function untilIdle(client: PoolClient): Promise<void> {
  await until(
    async () => !(await client.stats({})).snapshot?.pools.some(({ queued, running }) => queued > 0n || running > 0),
  );
}

const mebibyte = 2 ** 20;

/** Resident memory of a process. */
async function residentBytes(pid: number): Promise<number> {
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kibibytes) * 1024;
}

suite("the classic mistakes of worker pools", () => {
  const skip = existsSync("/proc/self/status") ? false : "this system has no /proc to read a process's memory from";
  test("results that nobody reads neither stall the workers nor grow the memory", { skip }, async (t) => {
    const { start } = await makePlace(t);
    const server = await start();
    const channel = newChannel();
    const client = clientAt(server);
    const submitResults = async (count: number) => {
      for (let sent = 0; sent < count; sent += 100) {
        const jobs = Array.from({ length: 100 }, () => ({
          task: "echo",
          channel,
          input: data(new Uint8Array(20_000)),
        }));
        await client.submit({ jobs });
      }
    };
    await submitResults(500); // threads, heaps and caches have grown to their size before the measuring starts
    const streams = Array.from({ length: 8 }, () => exchange(clientAt(server), { channel, maxUnacked: 10_000 }));
    for (const stream of streams) await stream.next("opened");
    const before = await residentBytes(server.pid);

    await submitResults(4_000);
    await untilIdle(client);

    const grown = (await residentBytes(server.pid)) - before;
    // held back for eight readers it would be 640 MB; what threads and heaps keep is less than 200
    assert.ok(grown < 320 * mebibyte, `the memory grew by ${(grown / mebibyte).toFixed(0)} MiB`);
    for (const stream of streams) stream.cut();
  });

  test("a submit after the shutdown began is UNAVAILABLE, and the server stops in peace", async (t) => {
    const gate = await openGate();
    t.after(gate.close);
    const server = await (await makeRestartable(t)).start();
    const client = server.client();
    const another = connect({ address: server.grpcAddress, client: "ada", retries: 0 });
    t.after(another.close);
    await another.stats();
    await client.submit({ jobs: [{ task: "gate", input: json({ port: gate.port }) }] });
    const running = await gate.next();
    const stream = exchange(client, {});
    await stream.next("opened");

    const stopped = server.stop();
    const racing = await errorOf(another.submit(echoTask, 1)); // beside the server's GOAWAY
    const later = await errorOf(another.submit(echoTask, 1));
    stream.submit(1, [echo(2)]);
    const { receipts } = await stream.next("accepted");
    running.pass();
    await stopped;

    assert.equal(racing.codeName, "UNAVAILABLE");
    assert.deepEqual([later.codeName, later.reason], ["UNAVAILABLE", "draining"]);
    assert.deepEqual(fates(receipts), ["draining"]);
  });

  test("streams that nobody closes do not hang the shutdown", { timeout: 20_000 }, async (t) => {
    const server = await (await makeRestartable(t)).start();
    const client = server.client();
    const { receipts } = await client.submit({
      jobs: [echo(1, { start: { case: "delay", value: { seconds: 3600n } } })],
    });
    const [jobId = ""] = idsOf(receipts);
    const exchanges = [exchange(client, {}), exchange(client, { channel: newChannel() })];
    for (const each of exchanges) await each.next("opened");
    const watching = client.watchJob({ jobId })[Symbol.asyncIterator]();
    assert.equal((await watching.next()).value?.update.case, "job");
    const statistics = client.watchStats({ intervalMs: 60_000 })[Symbol.asyncIterator]();
    await statistics.next();
    const results = client.results({ channel: newChannel() })[Symbol.asyncIterator]();
    const ends = [watching, statistics, results].map((stream) => Promise.allSettled([stream.next()]));

    await server.stop();

    await Promise.all([...ends, ...exchanges.map((stream) => Promise.allSettled([stream.rest()]))]);
  });

  test("many submitters that race with a drain lose nothing", async (t) => {
    const { start } = await makeRestartable(t);
    const first = await start();
    const accepted = new Set<string>();
    let refusals = 0;
    const submitters = Array.from({ length: 50 }, async (_, index) => {
      const client = connect({ address: first.grpcAddress, client: "ada", retries: 0 });
      t.after(client.close);
      for (;;) {
        const error = await client.submit(echoTask, index).then(
          (id) => void accepted.add(id),
          (error: unknown) => error,
        );
        if (!error) continue;
        assert.equal((error as MillpondClientError).codeName, "UNAVAILABLE");
        refusals += 1;
        return;
      }
    });
    await until(() => accepted.size >= 500);

    await first.stop();
    await Promise.all(submitters);

    const second = (await start()).client();
    assert.equal(refusals, submitters.length);
    assert.ok(accepted.size >= 500);
    await untilIdle(second);
    for (const id of accepted) {
      const { job } = await second.getJob({ jobId: id });
      assert.equal(job?.result?.state ?? job?.state, JobState.SUCCEEDED, id);
    }
  });
});
