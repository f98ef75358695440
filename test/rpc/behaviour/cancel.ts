/** `CancelJobs`, and what a filter may say, on every front end. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { type TestContext, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { JobFilterSchema, JobState } from "../../../src/gen/millpond/v1/job_pb.ts";
import { CancelAnswer_Kind as Kind, CancelJobsRequestSchema } from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { PoolClient, TestServer, Way } from "../fixtures.ts";
import { openGate } from "../gate.ts";
import { echo, follow, idsOf, json, later, newChannel, withUnknown, whenFinal } from "../jobs.ts";
import { refused } from "../refused.ts";

export function cancelCases(way: Way, server: () => TestServer): void {
  /** A client that no other test uses. */
  const client = () => server().client(way, `client-${randomUUID()}`);

  async function gateFor(t: TestContext) {
    const gate = await openGate();
    t.after(() => gate.close());
    return gate;
  }

  const submit = async (own: PoolClient, jobs: ReturnType<typeof echo>[]) =>
    idsOf((await own.submit({ jobs })).receipts);

  test("a job that waits is CANCELLED at once, and its channel says so", async () => {
    const own = client();
    const channel = newChannel();
    const ids = await submit(own, [echo("never", { channel, ...later })]);
    const { answers, cancelled, cancelling } = await own.cancelJobs({ jobIds: ids });
    const [result] = await follow(own, { channel }, 1);

    assert.deepEqual(
      answers.map(({ jobId, kind, state }) => [jobId, kind, state]),
      [[ids[0], Kind.CANCELLED, JobState.CANCELLED]],
    );
    assert.deepEqual([cancelled, cancelling], [1n, 0n]);
    assert.deepEqual([result?.state, result?.failure?.reason, result?.attempts], [JobState.CANCELLED, "cancelled", 0]);
  });

  test("a job that runs is asked to stop, and says meanwhile that it was", async (t) => {
    const gate = await gateFor(t);
    const own = client();
    const job = { task: "gate", input: json({ port: gate.port, stubborn: true }) };
    await submit(own, [job]);
    const held = await gate.next();
    const { answers, cancelling } = await own.cancelJobs({ jobIds: [held.jobId] });
    const shown = (await own.getJob({ jobId: held.jobId })).job;
    held.fail(); // who is asked to stop and fails is not tried again
    const final = await whenFinal(own, held.jobId);

    assert.deepEqual([answers[0]?.kind, answers[0]?.state, cancelling], [Kind.CANCELLING, JobState.RUNNING, 1n]);
    assert.deepEqual([shown?.state, shown?.cancelling], [JobState.RUNNING, true]);
    assert.deepEqual([final.state, final.attempts, final.cancelling], [JobState.CANCELLED, 1, false]);
    assert.equal(gate.begun.length, 1);
  });

  test("each id gets its own answer, in order: what is not there, is final or came twice spoils nothing", async () => {
    const own = client();
    const channel = newChannel();
    const [waits = "", done = ""] = await submit(own, [echo(1, { ...later, channel }), echo(2, { channel })]);
    await whenFinal(own, done);
    const [hers = ""] = await submit(client(), [echo("hers", later)]);
    const missing = randomUUID();
    const { answers, cancelled } = await own.cancelJobs({
      jobIds: [missing, done, waits.toUpperCase(), waits, hers],
    });

    assert.deepEqual(
      answers.map(({ jobId, kind, state }) => [jobId, kind, state]),
      [
        [missing, Kind.NOT_FOUND, JobState.UNSPECIFIED],
        [done, Kind.ALREADY_FINAL, JobState.SUCCEEDED],
        [waits, Kind.CANCELLED, JobState.CANCELLED],
        [waits, Kind.ALREADY_FINAL, JobState.CANCELLED],
        [hers, Kind.NOT_FOUND, JobState.UNSPECIFIED],
      ],
    );
    assert.equal(cancelled, 1n);
  });

  test("a filter cancels what matches all of it, and nothing else", async () => {
    const own = client();
    const [a, b] = [newChannel(), newChannel()];
    const [first = "", second = "", third = ""] = await submit(own, [
      echo(1, { ...later, channel: a, labels: { batch: "7", kind: "x" } }),
      echo(2, { ...later, channel: a, labels: { batch: "8" } }),
      echo(3, { ...later, channel: b, labels: { batch: "7" } }),
    ]);
    const filter = { channel: a, labels: { batch: "7" }, task: "echo", pool: "cpu" };
    const counted = await own.cancelJobs({ filter, dryRun: true });
    const before = (await own.getJob({ jobId: first })).job?.state;
    const done = await own.cancelJobs({ filter });

    assert.deepEqual([counted.matched, counted.cancelled, before], [1n, 0n, JobState.QUEUED]);
    assert.deepEqual([done.matched, done.cancelled, done.cancelling, done.answers], [1n, 1n, 0n, []]);
    const states = [];
    for (const jobId of [first, second, third]) states.push((await own.getJob({ jobId })).job?.state);
    assert.deepEqual(states, [JobState.CANCELLED, JobState.QUEUED, JobState.QUEUED]);
    assert.equal((await own.cancelJobs({ filter: { all: true } })).cancelled, 2n);
  });

  test("a filter knows when jobs were submitted", async () => {
    const own = client();
    await submit(own, [echo(1, later)]);
    const long = { seconds: BigInt(Math.floor(Date.now() / 1000) - 3_600) };
    const soon = { seconds: long.seconds + 7_200n };

    assert.equal((await own.cancelJobs({ filter: { submittedBefore: long } })).matched, 0n);
    assert.equal((await own.cancelJobs({ filter: { submittedAfter: soon } })).matched, 0n);
    assert.equal((await own.cancelJobs({ filter: { submittedAfter: long, submittedBefore: soon } })).matched, 1n);
  });

  for (const [what, request, fields] of [
    ["nothing", {}, ["job_ids"]],
    ["both ids and a filter", { jobIds: [randomUUID()], filter: { all: true } }, ["filter"]],
    ["a dry run of ids", { jobIds: [randomUUID()], dryRun: true }, ["dry_run"]],
    ["an empty filter", { filter: {} }, ["filter"]],
    ["what is no id", { jobIds: [randomUUID(), "4711"] }, ["job_ids[1]"]],
    ["too many ids", { jobIds: Array.from({ length: 1_001 }, () => randomUUID()) }, ["job_ids"]],
    ["a reason why jobs died", { filter: { deadReason: 1 } }, ["filter.dead_reason"]],
    ["a reason of failures", { filter: { failureReason: "lost" } }, ["filter.failure_reason"]],
    ["a reason that does not exist", { filter: { deadReason: 99 as never } }, ["filter.dead_reason"]],
    [
      "more labels than a job may have",
      { filter: { labels: Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`l${index}`, ""])) } },
      ["filter.labels"],
    ],
  ] as const satisfies readonly (readonly [string, MessageInitShape<typeof CancelJobsRequestSchema>, string[]])[]) {
    test(`${what} is refused by the field's path`, async () => {
      const error = await refused(client().cancelJobs(request));
      assert.deepEqual([error.code, error.reason, error.fields], ["InvalidArgument", "invalid_argument", fields]);
    });
  }

  test("fields that this server does not know are refused by their path, and nothing is cancelled", {
    skip: way.isJson && "JSON with such fields is refused before: see curl.test.ts",
  }, async () => {
    const own = client();
    const [id = ""] = await submit(own, [echo(1, later)]);
    const filter = create(JobFilterSchema, { all: true });
    const before = withUnknown(create(TimestampSchema, { seconds: 1n }), 3);
    for (const [request, field] of [
      [{ filter: withUnknown(filter, 99) }, "filter.99"],
      [withUnknown(create(CancelJobsRequestSchema, { jobIds: [id] }), 7), "7"],
      [{ filter: create(JobFilterSchema, { submittedBefore: before }) }, "filter.submitted_before.3"],
    ] as const) {
      const error = await refused(own.cancelJobs(request));
      assert.deepEqual([error.reason, error.fields], ["invalid_argument", [field]]);
    }
    assert.equal((await own.getJob({ jobId: id })).job?.state, JobState.QUEUED);
    await own.cancelJobs({ filter: { all: true } });
  });
}
