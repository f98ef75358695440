/** SIGTERM: what runs is finished or handed back, who is connected is told, and nothing that was accepted is lost. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { suite, test } from "node:test";
import { newJobId } from "../../clients/typescript/index.ts";
import { JobState, type Result } from "../../src/gen/millpond/v1/job_pb.ts";
import { ExchangeNotice_Kind as Notice } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { run } from "../cli/run.ts";
import { ways, type PoolClient } from "../rpc/fixtures.ts";
import { openGate } from "../rpc/gate.ts";
import { echo, exchange, fates, follow, idsOf, json, newChannel } from "../rpc/jobs.ts";
import { read, refused } from "../rpc/refused.ts";
import { clientAt, makePlace } from "./place.ts";
import { until } from "../support/until.ts";

const ids = (results: readonly Result[]) => results.map(({ jobId }) => jobId);

/** Every job of a client. */
async function listAll(client: PoolClient) {
  const jobs = [];
  let pageToken = "";
  do {
    const page = await client.listJobs({ pageSize: 1000, pageToken });
    jobs.push(...page.jobs);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return jobs;
}

suite("on SIGTERM", () => {
  test("running jobs are finished and stored, everyone is told, and the process ends with 0", async (t) => {
    const gate = await openGate();
    t.after(gate.close);
    const { start } = await makePlace(t);
    const server = await start();
    const client = clientAt(server);
    const channel = newChannel();
    const job = { task: "gate", input: json({ port: gate.port }) };
    const streams = [1, 2].map(() => exchange(clientAt(server), { channel }));
    const [stream] = streams as [ReturnType<typeof exchange>];
    stream.submit(1, [job, job, job, job, job]); // two can run
    const accepted = idsOf((await stream.next("accepted")).receipts);
    const running = [await gate.next(), await gate.next()];
    const reading = client.results({ channel })[Symbol.asyncIterator]();
    const firstRead = reading.next(); // this library sends the request only when it is asked for a result
    await client.stats({}); // by now it has been sent

    const ended = server.signal("SIGTERM");
    for (const each of streams) assert.equal((await each.next("notice")).kind, Notice.DRAINING);
    const late = exchange(clientAt(server), { channel });
    assert.equal((await late.next("notice")).kind, Notice.DRAINING, "also who comes later is told");
    const refusal = await refused(client.submit({ jobs: [echo(1)] }));
    assert.deepEqual([refusal.code, refusal.reason, refusal.retryAfterMs], ["Unavailable", "draining", 1000]);
    stream.submit(2, [echo(1), echo(2)]);
    assert.deepEqual(fates((await stream.next("accepted")).receipts), ["draining", "draining"]);
    for (const each of running) each.pass();

    const read1 = async () =>
      read(
        await stream.rest().then(
          () => assert.fail("ended with OK"),
          (error: unknown) => error,
        ),
      );
    assert.deepEqual(new Set(ids(await stream.results(2))), new Set(running.map(({ jobId }) => jobId)));
    const last = await read1();
    assert.deepEqual([last.code, last.reason], ["Unavailable", "draining"]);
    for (const each of [...streams.slice(1), late]) {
      const error = await refused(each.rest());
      assert.deepEqual([error.code, error.reason], ["Unavailable", "draining"]);
    }
    const seen: Result[] = [];
    const readerEnd = await refused(
      (async () => {
        for (let next = await firstRead; !next.done; next = await reading.next()) seen.push(...next.value.results);
      })(),
    );
    assert.deepEqual([seen.length, readerEnd.code, readerEnd.reason], [2, "Unavailable", "draining"]);
    const { code, stdout, stderr } = await ended;
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /\{"event":"stopped"\}$/);
    assert.equal(gate.begun.length, 2, "nothing new was started");

    gate.open();
    const again = clientAt(await start());
    const results = await follow(again, { channel }, 5);
    assert.deepEqual(ids(results.slice(0, 2)), ids(seen));
    assert.deepEqual(new Set(ids(results)), new Set(accepted));
    assert.ok(results.every(({ state, attempts }) => state === JobState.SUCCEEDED && attempts === 1));
  });

  test("jobs that take too long are handed back without counting the attempt, those that do not listen too", async (t) => {
    const gate = await openGate();
    t.after(gate.close);
    const { start, folder } = await makePlace(t);
    const server = await start(["--drain-ms", "20", "--grace-ms", "20"]);
    const client = clientAt(server);
    const path = join(folder, "go");
    const { receipts } = await client.submit({
      jobs: [
        { task: "gate", input: json({ port: gate.port }) },
        { task: "gate", input: json({ port: gate.port, stubborn: true }) },
        { task: "spin", input: json({ path }) },
      ],
    });
    await Promise.all([gate.next(), gate.next()]);
    await until(() => existsSync(`${path}.begun`));

    const { code, stderr } = await server.signal("SIGTERM");

    assert.deepEqual([code, stderr], [0, ""]);
    gate.open();
    await writeFile(path, "");
    const results = await follow(clientAt(await start()), { channel: "default" }, 3);
    assert.deepEqual(new Set(ids(results)), new Set(idsOf(receipts)));
    assert.ok(results.every(({ state, attempts }) => state === JobState.SUCCEEDED && attempts === 1));
    assert.equal(gate.begun.length, 4);
    assert.ok(
      gate.begun.every((line) => line.endsWith(" 1")),
      "each ran as its first attempt again",
    );
  });

  test("many who submit at that moment lose nothing: what was accepted is stored, what was refused is not", async (t) => {
    const gate = await openGate();
    t.after(gate.close);
    const { start } = await makePlace(t);
    const server = await start();
    const channel = newChannel();
    await clientAt(server).submit({ jobs: [{ task: "gate", input: json({ port: gate.port }), channel: "held" }] });
    const held = await gate.next(); // so that the server drains until everyone has been refused
    const accepted = new Set<string>();
    const refusedIds = new Set<string>();
    let ended: ReturnType<typeof server.signal> | undefined;

    const note = (batch: readonly string[], fate: string): boolean => {
      for (const id of batch) (fate === "accepted" ? accepted : refusedIds).add(id);
      if (accepted.size >= 300) ended ??= server.signal("SIGTERM");
      assert.ok(fate === "accepted" || fate === "draining", fate);
      return fate === "accepted";
    };
    const batchOf = () => Array.from({ length: 5 }, () => newJobId());
    const jobsOf = (batch: readonly string[]) => batch.map((id) => echo(id, { id, channel }));
    const byCall = async (client: PoolClient) => {
      for (let isTaken = true; isTaken; ) {
        const batch = batchOf();
        isTaken = await client.submit({ jobs: jobsOf(batch) }).then(
          () => note(batch, "accepted"),
          (error: unknown) => note(batch, read(error).reason),
        );
      }
    };
    const byStream = async (client: PoolClient) => {
      const stream = exchange(client, { channel });
      for (let isTaken = true, seq = 1; isTaken; seq += 1) {
        const batch = batchOf();
        stream.submit(seq, jobsOf(batch));
        const each = fates((await stream.next("accepted")).receipts);
        assert.equal(new Set(each).size, 1);
        isTaken = note(batch, each[0] ?? "");
      }
      stream.cut();
    };
    const four = [0, 1, 2, 3];
    await Promise.all([
      ...four.map(() => byCall(clientAt(server))),
      ...four.map(() => byCall(clientAt(server, ways.connectHttp1))),
      ...four.map(() => byStream(clientAt(server))),
    ]);
    held.pass();
    assert.equal((await ended)?.code, 0);

    assert.ok(accepted.size >= 300 && refusedIds.size > 0);
    const again = clientAt(await start());
    const stored = (await listAll(again)).filter((job) => job.channel === channel).map(({ id }) => id);
    assert.deepEqual(new Set(stored), accepted);
    const results = await follow(again, { channel }, accepted.size);
    assert.equal(results.length, accepted.size);
    assert.deepEqual(new Set(ids(results)), accepted);
    assert.deepEqual(
      results.map(({ cursor }) => Number(cursor)),
      [...accepted].map((_, index) => index + 1),
    );
  });
});

test("a server whose port is taken says so, starts none of the jobs it finds, and lets go of the store", async (t) => {
  const gate = await openGate();
  t.after(gate.close);
  const { start, flags } = await makePlace(t);
  const first = await start(["--drain-ms", "0", "--grace-ms", "0"]);
  await clientAt(first).submit({ jobs: [{ task: "gate", input: json({ port: gate.port }) }] });
  await gate.next();
  assert.equal((await first.signal("SIGTERM")).code, 0);
  const other = createServer().listen(0, "127.0.0.1");
  t.after(() => other.close());
  await once(other, "listening");
  const taken = String((other.address() as AddressInfo).port);

  for (const [flag, free] of [
    ["--grpc-port", "--http-port"],
    ["--http-port", "--grpc-port"],
  ] as const) {
    const { code, stdout, stderr } = await run(["serve", ...flags, flag, taken, free, "0"]);
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, new RegExp(`^millpond: [^\\n]*${taken}[^\\n]*in use[^\\n]* ${flag}\\n$`));
  }

  assert.equal(gate.begun.length, 1);
  await start();
  assert.equal((await gate.next()).attempt, 1);
});
