/** `ListDeadLetters`, `RedriveJobs`, `DeleteJobs` and the history of a job, on every front end. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { AttemptOutcome, DeadReason, JobFilterSchema, JobState } from "../../../src/gen/millpond/v1/job_pb.ts";
import {
  DeleteAnswer_Kind as Deletion,
  RedriveAnswer_Kind as Redrive,
} from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { PoolClient, TestServer, Way } from "../fixtures.ts";
import {
  echo,
  follow,
  idsOf,
  type JobInit,
  json,
  later,
  newChannel,
  present,
  withUnknown,
  whenFinal,
} from "../jobs.ts";
import { refused } from "../refused.ts";

const quick = { retry: { maxAttempts: 2, base: { seconds: 0n }, jitter: 2 } } as const;

export function deadLetterCases(way: Way, server: () => TestServer): void {
  /** A client that no other test uses. */
  const client = () => server().client(way, `client-${randomUUID()}`);

  const doomed = (reason: string, more: JobInit = {}): JobInit => ({ task: "fail", input: json({ reason }), ...more });

  async function submit(own: PoolClient, jobs: JobInit[]): Promise<string[]> {
    return idsOf((await own.submit({ jobs })).receipts);
  }

  /** Ids of jobs that are DEAD by now. */
  async function dead(own: PoolClient, jobs: JobInit[]): Promise<string[]> {
    const ids = await submit(own, jobs);
    for (const id of ids) assert.equal((await whenFinal(own, id)).state, JobState.DEAD);
    return ids;
  }

  test("GetJob shows the whole chain of attempts, and the input when it is asked for", async () => {
    const own = client();
    const input = json({ reason: "no_luck", message: "not today", retryable: true, details: { tried: [1] } });
    const [jobId = ""] = await dead(own, [{ task: "fail", input, ...quick }]);
    const { job } = await own.getJob({ jobId, withInput: true });
    const without = (await own.getJob({ jobId })).job;

    assert.deepEqual([job?.deadReason, job?.attempts, job?.maxAttempts], [DeadReason.EXHAUSTED, 2, 2]);
    assert.deepEqual(
      job?.history.map(({ number, outcome, failure }) => [number, outcome, failure?.reason, failure?.message]),
      [1, 2].map((number) => [number, AttemptOutcome.FAILED, "no_luck", "not today"]),
    );
    assert.deepEqual(job?.history[0]?.failure?.details, { tried: [1] });
    assert.ok(job?.history.every(({ startedAt, finishedAt }) => startedAt && finishedAt));
    assert.equal(job?.input?.content.case, "message");
    assert.equal(without?.input, undefined);
  });

  test("ListDeadLetters shows DEAD jobs only, newest first, page by page, and those that a filter names", async () => {
    const own = client();
    const [first = ""] = await dead(own, [doomed("one", { labels: { batch: "7" } })]);
    const [second = ""] = await dead(own, [doomed("two")]);
    const [third = ""] = await dead(own, [doomed("one")]);
    const [fine = ""] = await submit(own, [echo("fine")]);
    await whenFinal(own, fine);
    const list = async (request: Parameters<PoolClient["listDeadLetters"]>[0]) => {
      const { jobs, nextPageToken } = await own.listDeadLetters(request);
      return { ids: jobs.map(({ id }) => id), nextPageToken };
    };

    assert.deepEqual((await list({})).ids, [third, second, first]);
    const page = await list({ pageSize: 2 });
    assert.deepEqual(page.ids, [third, second]);
    assert.deepEqual(await list({ pageSize: 2, pageToken: page.nextPageToken }), { ids: [first], nextPageToken: "" });
    assert.deepEqual((await list({ filter: { failureReason: "one" } })).ids, [third, first]);
    assert.deepEqual((await list({ filter: { labels: { batch: "7" } } })).ids, [first]);
    assert.deepEqual((await list({ filter: { deadReason: DeadReason.EXPIRED } })).ids, []);
    assert.deepEqual((await list({ filter: { all: true } })).ids.length, 3);
    assert.deepEqual((await client().listDeadLetters({})).jobs, []);
  });

  test("a job that is redriven has all its attempts before it again, and keeps its id and history", async () => {
    const own = client();
    const channel = newChannel();
    const [id = ""] = await dead(own, [doomed("no_luck", { channel })]);
    const { answers, redriven } = await own.redriveJobs({ jobIds: [id] });
    const results = await follow(own, { channel }, 2);
    const { job } = await own.getJob({ jobId: id });

    assert.deepEqual([answers[0]?.kind, answers[0]?.state, redriven], [Redrive.REDRIVEN, JobState.QUEUED, 1n]);
    assert.deepEqual(
      results.map(({ jobId, attempts, redrives, cursor }) => [jobId, attempts, redrives, cursor]),
      [
        [id, 1, 0, 1n],
        [id, 1, 1, 2n],
      ],
    );
    assert.deepEqual([job?.redrives, job?.history.map(({ number }) => number)], [1, [1, 1]]);
  });

  test("redriving one job that is not DEAD is FAILED_PRECONDITION naming its state; among others it is an answer", async () => {
    const own = client();
    const [waits = "", done = ""] = await submit(own, [echo(1, later), echo(2)]);
    await whenFinal(own, done);
    for (const [id, state] of [
      [waits, "QUEUED"],
      [done, "SUCCEEDED"],
    ] as const) {
      const error = await refused(own.redriveJobs({ jobIds: [id] }));
      assert.deepEqual([error.code, error.reason], ["FailedPrecondition", "not_dead"]);
      assert.match(error.message, new RegExp(`${id}.* is ${state}`));
    }
    const [lost = ""] = await dead(own, [doomed("lost")]);
    const missing = randomUUID();
    const { answers, redriven } = await own.redriveJobs({ jobIds: [waits, missing, lost, done] });

    assert.deepEqual(
      answers.map(({ jobId, kind, state }) => [jobId, kind, state]),
      [
        [waits, Redrive.NOT_DEAD, JobState.QUEUED],
        [missing, Redrive.NOT_FOUND, JobState.UNSPECIFIED],
        [lost, Redrive.REDRIVEN, JobState.QUEUED],
        [done, Redrive.NOT_DEAD, JobState.SUCCEEDED],
      ],
    );
    assert.equal(redriven, 1n);
    const [alone] = (await own.redriveJobs({ jobIds: [missing] })).answers;
    assert.equal(alone?.kind, Redrive.NOT_FOUND);
    await own.cancelJobs({ filter: { all: true } });
  });

  test("a filter redrives every DEAD job that matches, and a dry run only counts them", async () => {
    const own = client();
    await dead(own, [doomed("one"), doomed("one"), doomed("two")]);
    const filter = { failureReason: "one" };
    const counted = await own.redriveJobs({ filter, dryRun: true });
    const { matched, redriven } = await own.redriveJobs({ filter, perSecond: 0.01 });
    const { jobs } = await own.listJobs({ state: JobState.QUEUED });
    const left = await own.listDeadLetters({ filter: { failureReason: "two" } });

    assert.deepEqual([counted.matched, counted.redriven], [2n, 0n]);
    assert.deepEqual([matched, redriven, left.jobs.length], [2n, 2n, 1]);
    // one in a hundred seconds: the first may be due and gone, the second is not
    const waits = jobs.map(({ runAt }) => Number(runAt?.seconds) * 1000 - Date.now());
    assert.ok(
      waits.some((ms) => ms > 50_000),
      `due in ${waits.join(", ")} ms`,
    );
    await own.cancelJobs({ filter: { all: true } });
  });

  test("final jobs are deleted by id; one that is not final, or whose output waits to be acknowledged, is not", async () => {
    const own = client();
    const channel = newChannel();
    const [waits = ""] = await submit(own, [echo(1, later)]);
    const [done = ""] = await submit(own, [echo(2, { channel })]);
    await follow(own, { channel }, 1);
    const [lost = ""] = await dead(own, [doomed("lost", { channel })]);
    const running = await refused(own.deleteJobs({ jobIds: [waits] }));
    const unread = await refused(own.deleteJobs({ jobIds: [done] }));
    const missing = randomUUID();
    const { answers, deleted } = await own.deleteJobs({ jobIds: [waits, missing, done, lost] });
    await own.ackResults({ channel, cursor: 1n });
    const after = await own.deleteJobs({ jobIds: [done] });

    assert.deepEqual([running.code, running.reason], ["FailedPrecondition", "not_final"]);
    assert.match(running.message, /is QUEUED/);
    assert.deepEqual([unread.code, unread.reason], ["FailedPrecondition", "not_acknowledged"]);
    assert.deepEqual(
      answers.map(({ jobId, kind, state }) => [jobId, kind, state]),
      [
        [waits, Deletion.NOT_FINAL, JobState.QUEUED],
        [missing, Deletion.NOT_FOUND, JobState.UNSPECIFIED],
        [done, Deletion.NOT_ACKNOWLEDGED, JobState.SUCCEEDED],
        [lost, Deletion.DELETED, JobState.UNSPECIFIED],
      ],
    );
    assert.deepEqual([deleted, after.deleted], [1n, 1n]);
    for (const jobId of [done, lost]) assert.equal((await refused(own.getJob({ jobId }))).reason, "job_not_found");
    // the failure is still to be acknowledged, and stays in its channel
    assert.deepEqual(
      (await present(own, { channel })).map(({ jobId, failure }) => [jobId, failure?.reason]),
      [[lost, "lost"]],
    );
    await own.cancelJobs({ filter: { all: true } });
  });

  test("a filter deletes DEAD jobs only, and a dry run only counts them", async () => {
    const own = client();
    await dead(own, [doomed("one"), doomed("two")]);
    const [fine = ""] = await submit(own, [echo("fine")]);
    await whenFinal(own, fine);
    const counted = await own.deleteJobs({ filter: { all: true }, dryRun: true });
    const done = await own.deleteJobs({ filter: { all: true } });

    assert.deepEqual([counted.matched, counted.deleted], [2n, 0n]);
    assert.deepEqual([done.matched, done.deleted], [2n, 2n]);
    assert.deepEqual(
      (await own.listJobs({})).jobs.map(({ id }) => id),
      [fine],
    );
  });

  test("Stats counts dead letters and says how old the oldest is", async () => {
    const own = client();
    await dead(own, [doomed("counted")]);
    const { snapshot } = await own.stats({});
    const pool = snapshot?.pools.find((each) => each.pool === "cpu");

    assert.ok(pool && pool.dead >= 1n);
    assert.ok(Number(pool.oldestDeadAge?.seconds) > 0 || (pool.oldestDeadAge?.nanos ?? 0) > 0);
  });

  test("what is wrong with a request is refused by the field's path", async () => {
    const own = client();
    const id = randomUUID();
    for (const [call, fields] of [
      [() => own.redriveJobs({}), ["job_ids"]],
      [() => own.redriveJobs({ filter: {} }), ["filter"]],
      [() => own.redriveJobs({ jobIds: [id], filter: { all: true } }), ["filter"]],
      [() => own.redriveJobs({ jobIds: [id], perSecond: 0.001 }), ["per_second"]],
      [() => own.redriveJobs({ jobIds: [id], perSecond: -1 }), ["per_second"]],
      [() => own.redriveJobs({ jobIds: [id], perSecond: 1_000_001 }), ["per_second"]],
      [() => own.deleteJobs({}), ["job_ids"]],
      [() => own.deleteJobs({ filter: {} }), ["filter"]],
      [() => own.deleteJobs({ jobIds: ["4711"] }), ["job_ids[0]"]],
      [() => own.listDeadLetters({ filter: {} }), ["filter"]],
      [() => own.listDeadLetters({ pageSize: 1_001 }), ["page_size"]],
      [() => own.listDeadLetters({ pageToken: "next" }), ["page_token"]],
    ] as const) {
      const error = await refused(call());
      assert.deepEqual([error.code, error.reason, error.fields], ["InvalidArgument", "invalid_argument", fields]);
    }
  });

  test("fields that this server does not know are refused, and nothing is redriven or deleted", {
    skip: way.isJson && "JSON with such fields is refused before: see curl.test.ts",
  }, async () => {
    const own = client();
    await dead(own, [doomed("kept")]);
    const filter = withUnknown(create(JobFilterSchema, { all: true }), 99);
    for (const call of [own.redriveJobs, own.deleteJobs, own.listDeadLetters]) {
      assert.deepEqual((await refused(call({ filter }))).fields, ["filter.99"]);
    }
    assert.equal((await own.listDeadLetters({})).jobs.length, 1);
  });
}
