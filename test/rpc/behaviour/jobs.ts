/** What can be asked about jobs, tasks and the server, on every front end. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { createFileRegistry, fromBinary, fromJson, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { SleepInputSchema } from "../../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import { JobState } from "../../../src/gen/millpond/v1/job_pb.ts";
import type { TestServer, Way } from "../fixtures.ts";
import { openGate } from "../gate.ts";
import { echo, follow, idsOf, json, newChannel } from "../jobs.ts";
import { refused } from "../refused.ts";

export function jobCases(way: Way, server: () => TestServer): void {
  const client = (name?: string) => server().client(way, name);
  const own = (name: string) => `${name}-${way.name.replaceAll(/[^a-z0-9]/gi, "-")}`;

  test("GetJob shows a job while it runs and once it is final, with its result", async () => {
    const gate = await openGate();
    try {
      const channel = newChannel();
      const id = randomUUID();
      await client().submit({ jobs: [{ id, task: "gate", input: json({ port: gate.port }), channel }] });
      const held = await gate.next();
      const running = (await client().getJob({ jobId: id.toUpperCase() })).job;
      held.pass();
      await follow(client(), { channel }, 1);
      const final = (await client().getJob({ jobId: id })).job;

      assert.deepEqual([running?.id, running?.task, running?.pool, running?.channel], [id, "gate", "held", channel]);
      assert.deepEqual([running?.state, running?.attempts, running?.maxAttempts], [JobState.RUNNING, 1, 4]);
      assert.ok(running?.submittedAt && running.runAt && running.startedAt && !running.finishedAt && !running.result);
      assert.deepEqual([final?.state, final?.result?.cursor, final?.result?.jobId], [JobState.SUCCEEDED, 1n, id]);
      assert.ok(final?.finishedAt && final.result?.output);
    } finally {
      await gate.close();
    }
  });

  test("GetJob shows a job's memo as it came, lists do not, and a repeated submit keeps the first one", async () => {
    const memo = JSON.stringify({ by: "ada", why: "é🦆" });
    const jobId = randomUUID();
    await client(own("memo")).submit({ jobs: [memo, "another"].map((each) => echo(1, { id: jobId, memo: each })) });
    assert.equal((await client(own("memo")).getJob({ jobId })).job?.memo, memo);
    assert.equal((await client(own("memo")).listJobs({})).jobs[0]?.memo, "");
  });

  test("a job that waits for its next attempt shows why the last one failed", async () => {
    const gate = await openGate();
    try {
      const id = randomUUID();
      const channel = newChannel();
      await client().submit({ jobs: [{ id, task: "gate", input: json({ port: gate.port }), channel }] });
      (await gate.next()).fail();
      const second = await gate.next();
      const { job } = await client().getJob({ jobId: id });
      second.pass();
      const [result] = await follow(client(), { channel }, 1);

      assert.deepEqual([job?.state, job?.attempts, second.attempt], [JobState.RUNNING, 2, 2]);
      assert.deepEqual([result?.state, result?.attempts, result?.failure], [JobState.SUCCEEDED, 2, undefined]);
    } finally {
      await gate.close();
    }
  });

  test("a job that was never submitted, another client's, and what is no id are NOT_FOUND alike", async () => {
    const id = randomUUID();
    await client("alice").submit({ jobs: [echo("hers", { id })] });
    const messages: string[] = [];
    for (const jobId of [randomUUID(), id, "nonsense", ""]) {
      const error = await refused(client("bob").getJob({ jobId }));
      assert.deepEqual([error.code, error.reason], ["NotFound", "job_not_found"]);
      messages.push(error.message.replace(`"${jobId}"`, "ID"));
    }
    assert.equal(new Set(messages).size, 1);
  });

  test("ListJobs goes through a client's own jobs, newest first, page by page", async () => {
    const name = own("lister");
    const channel = newChannel();
    const { receipts } = await client(name).submit({
      jobs: Array.from({ length: 7 }, (_, index) => echo(index, { channel })),
    });
    await client("someone-else").submit({ jobs: [echo("not listed")] });
    await follow(client(name), { channel }, 7);

    const pages: string[][] = [];
    let pageToken = "";
    do {
      const { jobs, nextPageToken } = await client(name).listJobs({ pageSize: 3, pageToken });
      pages.push(jobs.map(({ id }) => id));
      assert.ok(jobs.every(({ result }) => result && !result.output && result.cursor === 0n));
      pageToken = nextPageToken;
    } while (pageToken !== "");

    assert.deepEqual(
      pages.map(({ length }) => length),
      [3, 3, 1],
    );
    assert.deepEqual(pages.flat(), idsOf(receipts).toReversed());
  });

  test("ListJobs shows only the state, task and channel that were asked for", async () => {
    const name = own("filterer");
    const [a, b] = [newChannel(), newChannel()];
    await client(name).submit({
      jobs: [echo(1, { channel: a }), echo(2, { channel: b }), { task: "fail", input: json({}), channel: a }],
    });
    await Promise.all([follow(client(name), { channel: a }, 2), follow(client(name), { channel: b }, 1)]);
    const list = async (filter: object) =>
      (await client(name).listJobs(filter)).jobs.map(({ task, channel }) => [task, channel]);

    assert.equal((await list({})).length, 3);
    assert.deepEqual(await list({ state: JobState.DEAD }), [["fail", a]]);
    assert.deepEqual(await list({ task: "echo", channel: b }), [["echo", b]]);
    assert.deepEqual(await list({ state: JobState.QUEUED }), []);
    assert.deepEqual(await list({ task: "no.such.task" }), []);
  });

  test("ListJobs shows only jobs that have all the labels that were asked for", async () => {
    const name = own("labelled");
    const labels = [{ customer: "17" }, { customer: "17", region: "eu" }, { customer: "18", region: "eu" }, {}];
    await client(name).submit({ jobs: labels.map((each) => echo(1, { labels: each })) });
    const list = async (filter: object) => (await client(name).listJobs(filter)).jobs.map((job) => job.labels);

    assert.deepEqual(await list({ labels: { customer: "17" } }), [labels[1], labels[0]]);
    assert.deepEqual(await list({ labels: { customer: "17", region: "eu" } }), [labels[1]]);
    assert.deepEqual(await list({ labels: { customer: "" } }), []);
    const error = await refused(client(name).listJobs({ labels: { "no name": "x" } }));
    assert.deepEqual([error.reason, error.fields], ["invalid_argument", ['labels["no name"]']]);
  });

  test("ListJobs refuses a page too large, a token nobody gave, and a state that does not exist", async () => {
    const error = await refused(client().listJobs({ pageSize: 1_001, pageToken: "2; DROP TABLE job" }));
    assert.deepEqual([error.reason, error.fields.toSorted()], ["invalid_argument", ["page_size", "page_token"]]);

    const state = await refused(client().listJobs({ state: 99 as JobState }));
    assert.deepEqual([state.reason, state.fields], ["invalid_argument", ["state"]]);
  });

  test("a page of jobs that failed with a lot to say fits into one message", async () => {
    const name = own("talkative");
    const channel = newChannel();
    const input = json({ message: "é".repeat(4_096), details: { what: "ü".repeat(4_500) } });
    const jobs = Array.from({ length: 8 }, () => ({ task: "fail", input, channel }));
    for (let count = 0; count < 40; count += jobs.length) await client(name).submit({ jobs });
    await follow(client(name), { channel }, 40);

    const ids: string[] = [];
    let pageToken = "";
    do {
      const { jobs, nextPageToken } = await client(name).listJobs({ pageSize: 100, pageToken });
      ids.push(...jobs.map(({ id }) => id));
      pageToken = nextPageToken;
    } while (pageToken !== "");

    assert.equal(new Set(ids).size, 40);
  });

  test("Stats counts what ran and shows the caller's own traffic and rate", async () => {
    const name = own("counted");
    const channel = newChannel();
    const before = (await client(name).stats({})).snapshot;
    await client(name).submit({ jobs: [echo(1, { channel }), echo(2, { channel }), { task: "no.such.task" }] });
    await follow(client(name), { channel }, 2);
    const after = (await client(name).stats({})).snapshot;

    const succeeded = (snapshot: typeof before) => snapshot?.pools.find(({ pool }) => pool === "cpu")?.succeeded ?? 0n;
    assert.ok(succeeded(after) >= succeeded(before) + 2n);
    assert.deepEqual(
      after?.pools.map(({ pool, minWorkers, maxWorkers, maxQueued }) => [pool, minWorkers, maxWorkers, maxQueued]),
      [
        ["cpu", 0, 1, 100_000n],
        ["io", 0, 1, 100_000n],
        ["held", 0, 2, 4n],
      ],
    );
    const { accepted, refused: refusedJobs, client: shown, ratePerSecond, burst } = after?.client ?? {};
    assert.deepEqual([shown, accepted, refusedJobs, ratePerSecond, burst], [name, 2n, 1n, 0, 0]);
    const task = after?.tasks.find((each) => each.task === "echo");
    assert.ok(task && task.succeeded >= 2n && task.execution?.p50 && task.queueWait?.p99);
    assert.ok((after?.uptime?.nanos ?? 0) > 0);
    assert.deepEqual((await client("paced").stats({})).snapshot?.client?.burst, 10);
  });

  test("WatchStats sends a snapshot at once and then at the interval", async () => {
    const uptimes: number[] = [];
    const hangUp = new AbortController();
    for await (const { snapshot } of client().watchStats({ intervalMs: 100 }, { signal: hangUp.signal })) {
      uptimes.push(Number(snapshot?.uptime?.seconds) * 1000 + (snapshot?.uptime?.nanos ?? 0) / 1e6);
      if (uptimes.length === 3) break;
    }
    hangUp.abort();

    const gaps = uptimes.slice(1).map((at, index) => at - (uptimes[index] ?? 0));
    assert.ok(
      gaps.every((gap) => gap >= 95),
      `gaps of ${gaps.join(" and ")} ms`,
    );
  });

  test("WatchStats refuses an interval out of bounds", async () => {
    for (const intervalMs of [99, 60_001]) {
      const watch = async () => {
        for await (const _ of client().watchStats({ intervalMs })) assert.fail("a snapshot came");
      };
      const error = await refused(watch());
      assert.deepEqual([error.reason, error.fields], ["invalid_argument", ["interval_ms"]]);
    }
  });

  test("ListTasks describes every task so that a client without the proto files can use it", async () => {
    const { tasks, descriptors } = await client().listTasks({});
    const sleep = tasks.find(({ name }) => name === "sleep");
    const registry = createFileRegistry(
      fromBinary(FileDescriptorSetSchema, toBinary(FileDescriptorSetSchema, descriptors as never)),
    );

    assert.deepEqual(
      [sleep?.pool, sleep?.inputType, sleep?.outputType, sleep?.maxAttempts],
      ["io", "millpond.tasks.v1.SleepInput", "millpond.tasks.v1.SleepOutput", 4],
    );
    assert.ok(sleep?.description);
    for (const { inputType, outputType } of tasks) {
      for (const type of [inputType, outputType])
        if (type) assert.ok(registry.getMessage(type), `${type} is not described`);
    }
    const type = registry.getMessage("millpond.tasks.v1.SleepInput");
    assert.ok(type);
    const bytes = toBinary(type, fromJson(type, { durationMs: 7 }));
    assert.equal(fromBinary(SleepInputSchema, bytes).durationMs, 7);
  });
}
