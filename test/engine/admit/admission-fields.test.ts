/** What becomes of a job's own wishes on the way into the store, and what a repeated submit is told. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Admitted } from "../../../src/engine/admit/admission.ts";
import type { Draft } from "../../../src/engine/admit/draft.ts";
import { refusal } from "../../../src/errors.ts";
import type { NewJob } from "../../../src/job/job.ts";
import { decodeJob, encodeJob } from "../../../src/job/record.ts";
import type { Submission, Submitted } from "../../../src/store/store.ts";
import { everything, newJob } from "../../store/sample.ts";
import { draft, shown, tryAdmission } from "./try-admission.ts";

const id = "0198a3b4-0000-7000-8000-00000000000a";
const id2 = "0198a3b4-0000-7000-8000-00000000000b";

/** The record of a job as `draft()` describes it, but for this. */
function recordOf(overrides: Partial<NewJob>): Uint8Array {
  const input = { kind: "json", type: "", bytes: new TextEncoder().encode("1") } as const;
  return encodeJob(newJob({ id, client: "ada", task: "echo", input, ...overrides }));
}

/** An admission whose store keeps what it is given and answers as told. */
function open(answer: Submitted = { kind: "accepted" }) {
  const stored: NewJob[] = [];
  const submit = async (jobs: readonly Submission[]) => {
    stored.push(...jobs.map(({ record }) => decodeJob(record)));
    return jobs.map(() => answer);
  };
  const tried = tryAdmission({ store: { submit } });
  return {
    ...tried,
    stored,
    async submit(overrides: Partial<Draft>): Promise<Admitted | undefined> {
      return (await tried.admission.admit("ada", [draft(overrides)]))[0];
    },
  };
}

describe("what a job asks for is stored", () => {
  test("its priority, its times, its key, its labels, its timeout and its retries", async () => {
    const { submit, stored, clock } = open();
    const now = clock.now();
    await submit({
      priority: -7,
      start: { delayMs: 500 },
      expiresAt: now + 900,
      idempotencyKey: "invoice-4711",
      labels: { tier: "gold" },
      timeoutMs: 20,
      retry: { maxAttempts: 2, jitter: "none" },
    });
    const { priority, runAt, submittedAt, expiresAt, idempotencyKey, maxAttempts } = stored[0] as NewJob;
    const { labels, timeoutMs, retry } = stored[0] as NewJob;
    assert.deepEqual(
      { priority, runAt, submittedAt, expiresAt, idempotencyKey, maxAttempts, labels, timeoutMs, retry },
      {
        ...{ priority: -7, runAt: now + 500, submittedAt: now, expiresAt: now + 900, maxAttempts: 2 },
        idempotencyKey: "invoice-4711",
        labels: { tier: "gold" },
        timeoutMs: 20,
        retry: { jitter: "none" },
      },
    );
  });

  test("its channel, unless its result is wanted nowhere", async () => {
    const { submit, stored } = open();
    const answers = [await submit({ channel: "mine" }), await submit({ channel: "mine", discardResult: true })];
    assert.deepEqual(
      answers.map((each) => each?.kind === "accepted" && each.channel),
      ["mine", null],
    );
    assert.deepEqual(
      stored.map(({ channel }) => channel),
      ["mine", null],
    );
  });
});

describe("a job that was there before", () => {
  test("under another id, by its key, is a duplicate of that one", async () => {
    const { submit } = open({ kind: "known", by: "key", id: id2, content: recordOf({}), cursor: 8 });
    const answer = await submit({ id, idempotencyKey: "k" });
    assert.deepEqual(answer, { kind: "duplicate", id: id2, channel: "default", finalCursor: 8 });
  });

  test("with other content is refused by its id, naming all that differs", async () => {
    const { submit, backlog } = open({
      kind: "known",
      by: "id",
      id,
      content: recordOf({ input: null, priority: 1 }),
      cursor: null,
    });
    const answer = await submit({ id, idempotencyKey: "k" });
    assert.ok(answer?.kind === "refused" && answer.error.reason === "already_exists");
    assert.match(answer.error.message, new RegExp(`job "${id}" exists and differs in input, priority`));
    assert.equal(backlog.queued("cpu"), 0);
  });

  test("with other content is refused by its key, naming the job that has it", async () => {
    const { submit } = open({ kind: "known", by: "key", id: id2, content: recordOf({ task: "other" }), cursor: null });
    const answer = await submit({ id, idempotencyKey: "k" });
    assert.ok(answer?.kind === "refused" && answer.error.reason === "key_exists");
    assert.match(answer.error.message, new RegExp(`key "k" belongs to job "${id2}", which differs in task`));
  });

  test("is known by its key in the memory store too, whatever the order of its JSON and labels", async () => {
    const { admission, store } = tryAdmission();
    const submit = (overrides: Partial<Draft>) =>
      admission.admit("ada", [draft({ idempotencyKey: "k", ...overrides })]);
    const [first] = await submit({ input: { kind: "json", value: { a: 1, b: 2 } }, labels: { x: "1", y: "2" } });
    const [again] = await submit({ input: { kind: "json", value: { b: 2, a: 1 } }, labels: { y: "2", x: "1" } });
    assert.equal(again?.kind, "duplicate");
    assert.equal(first?.kind === "accepted" && first.id, again.id);
    const [other] = await submit({ input: { kind: "json", value: { b: 3, a: 1 } }, labels: { x: "1", y: "2" } });
    assert.ok(other?.kind === "refused" && other.error.reason === "key_exists");
    assert.equal((await store.list(everything)).jobs.length, 1);
  });
});

describe("while the disk is full", () => {
  const full = refusal("disk_full", [10, 256], { retryAfterMs: 10_000 });

  test("each good job is refused by itself with a time to come back, and nothing is stored or booked", async () => {
    const { admission, store, backlog, stats } = tryAdmission({ disk: { refusal: () => full } });
    const answers = await admission.admit("ada", [draft(), draft({ priority: 101 }), draft()]);
    assert.deepEqual(answers.map(shown), ["disk_full", "invalid_argument", "disk_full"]);
    assert.equal(answers[0]?.kind === "refused" && answers[0].error.retryAfterMs, 10_000);
    assert.deepEqual((await store.list(everything)).jobs, []);
    assert.equal(backlog.queued("cpu"), 0);
    const { accepted, refused } = stats.client("ada");
    assert.deepEqual([accepted, refused], [0, 3]);
  });

  test("the next job is taken once there is room", async () => {
    let now: typeof full | undefined = full;
    const { admission } = tryAdmission({ disk: { refusal: () => now } });
    await admission.admit("ada", [draft()]);
    now = undefined;
    assert.deepEqual((await admission.admit("ada", [draft()])).map(shown), ["accepted"]);
  });
});

describe("a job that is submitted again after its deadline", () => {
  test("is the same job: only one that is new is refused for it", async () => {
    const { admission, clock } = tryAdmission();
    const job = draft({ id, start: { delayMs: 300 }, expiresAt: clock.now() + 500 });
    const admit = async (each: Draft) => (await admission.admit("ada", [each])).map(shown);
    assert.deepEqual(await admit(job), ["accepted"]);
    clock.advance(400); // the same delay would lead behind the deadline now
    assert.deepEqual(await admit(job), ["duplicate"]);
    clock.advance(400);
    assert.deepEqual(await admit(job), ["duplicate"]);
    const [other] = await admission.admit("ada", [{ ...job, id: id2 }]);
    const error = other?.kind === "refused" ? other.error : assert.fail("it was taken");
    assert.deepEqual([error.reason, error.violations.map(({ field }) => field)], ["invalid_argument", ["expires_at"]]);
  });
});
