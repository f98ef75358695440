import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Draft } from "../../../src/engine/admit/draft.ts";
import { refusal } from "../../../src/errors.ts";
import type { CheckCall } from "../../../src/pool/checker/checks.ts";
import { endedOf, loaded, newLease, settlementOf } from "../../support/samples.ts";
import { everything, settlement, inputOf } from "../../store/sample.ts";
import { draft, drafts, refusalOf, shown, tryAdmission } from "./try-admission.ts";

const id = "0198a3b4-0000-7000-8000-00000000000a";

describe("an accepted job", () => {
  test("is in the store when the answer comes, as its task wants it", async () => {
    const { admission, store, clock } = tryAdmission();
    const [first] = await admission.admit("ada", [
      draft({ id, task: "sleep", input: { kind: "json", value: {} }, trace: "trace" }),
    ]);
    assert.deepEqual(first, { kind: "accepted", id, channel: "default" });
    const now = clock.now();
    const [lease] = (await store.lease({ pool: "io", limit: 1, now, owner: "boot", leaseMs: 1 })).leases;
    assert.equal(lease?.task, "sleep");
    assert.equal(lease.maxAttempts, 7);
    assert.equal(lease.client, "ada");
    assert.equal(lease.trace, "trace");
    assert.equal(lease.submittedAt, now);
    assert.equal(lease.runAt, now);
    assert.equal(inputOf(lease)?.kind, "message");
    const { priority, expiresAt, idempotencyKey, labels, timeoutMs, retry } = lease;
    assert.deepEqual(
      { priority, expiresAt, idempotencyKey, labels, timeoutMs, retry },
      { priority: 0, expiresAt: null, idempotencyKey: null, labels: {}, timeoutMs: null, retry: null },
    );
  });

  test("gets an id when the client chose none, and keeps the client's in lower case", async () => {
    const { admission } = tryAdmission();
    const [made, kept] = await admission.admit("ada", [draft(), draft({ id: id.toUpperCase() })]);
    assert.match(made?.kind === "accepted" ? made.id : "", /^[0-9a-f-]{36}$/);
    assert.equal(kept?.kind === "accepted" && kept.id, id);
  });

  test("its pool is hinted while the job is on its way, once for all jobs of a call", async () => {
    const { admission, hinted } = tryAdmission();
    const answer = admission.admit("ada", [...drafts(3), draft({ task: "sleep", input: { kind: "json", value: {} } })]);
    assert.deepEqual(hinted, ["cpu", "io"]);
    await answer;
    assert.deepEqual(hinted, ["cpu", "io"]);
  });

  test("submitted again is a duplicate, and says where its result is", async () => {
    const { admission, store, clock } = tryAdmission();
    await admission.admit("ada", [draft({ id })]);
    const [before] = await admission.admit("ada", [draft({ id })]);
    assert.deepEqual(before, { kind: "duplicate", id, channel: "default", finalCursor: null });
    const now = clock.now();
    const { leases } = await store.lease({ pool: "cpu", limit: 9, now, owner: "boot", leaseMs: 1 });
    await store.settle(leases.map((lease) => settlement(lease)));
    const [after] = await admission.admit("ada", [draft({ id })]);
    assert.equal(after?.kind === "duplicate" && after.finalCursor, 1);
  });
});

describe("one job", () => {
  const cases: readonly (readonly [what: string, draft: Partial<Draft>, reason: string, said: RegExp])[] = [
    ["an unknown task", { task: "resice" }, "unknown_task", /"resice"; there are: echo, sleep$/],
    ["bytes over the limit", { input: { kind: "data", bytes: new Uint8Array(101) } }, "input_too_large", /101 .* 100/],
    ["JSON over the limit", { input: { kind: "json", value: "x".repeat(99) } }, "input_too_large", /101 .* 100/],
    ["a bad id", { id: "job-1" }, "invalid_argument", /^id: "job-1" is not a UUID/],
    ["an id in braces", { id: `{${id.slice(0, 34)}}` }, "invalid_argument", /^id: /],
    ["a bad channel", { channel: "a b" }, "invalid_argument", /^channel: "a b" is not/],
    ["a channel of 101 characters", { channel: "a".repeat(101) }, "invalid_argument", /^channel: /],
    ["a bad input", { task: "sleep", input: null }, "invalid_argument", /^input: is missing/],
    ["JSON that is none", { input: { kind: "unreadable", why: "NaN" } }, "invalid_argument", /^input\.json: NaN/],
  ];
  for (const [what, bad, reason, said] of cases) {
    test(`${what}: ${reason}, and its neighbours are accepted`, async () => {
      const { admission, store, backlog, stats } = tryAdmission();
      const answers = await admission.admit("ada", [draft(), draft(bad), draft()]);
      assert.deepEqual(answers.map(shown), ["accepted", reason, "accepted"]);
      assert.match(answers[1]?.kind === "refused" ? answers[1].error.message : "", said);
      assert.equal((await store.list(everything)).jobs.length, 2);
      assert.equal(backlog.queued("cpu"), 2);
      const { accepted, refused, refusedBy } = stats.client("ada");
      assert.deepEqual([accepted, refused, refusedBy], [2, 1, [{ reason, jobs: 1 }]]);
    });
  }

  test("every mistake of a job is listed", async () => {
    const bad = draft({ id: "x", channel: "a b", task: "sleep", input: { kind: "json", value: { speed: 1 } } });
    const [answer] = await tryAdmission().admission.admit("ada", [bad]);
    const fields = answer?.kind === "refused" ? answer.error.violations.map(({ field }) => field) : [];
    assert.deepEqual(fields, ["id", "channel", "input.speed"]);
  });

  test("at the very limit of size is accepted", async () => {
    const inputs = [
      { kind: "data", bytes: new Uint8Array(100) } as const,
      { kind: "json", value: "x".repeat(98) } as const,
    ];
    const answers = await tryAdmission().admission.admit(
      "ada",
      inputs.map((input) => draft({ input })),
    );
    assert.deepEqual(answers.map(shown), ["accepted", "accepted"]);
  });

  test("an id with other content, or of another client, is refused without naming that client", async () => {
    const { admission } = tryAdmission();
    await admission.admit("ada", [draft({ id })]);
    const [conflict] = await admission.admit("ada", [draft({ id, channel: "other" })]);
    assert.ok(conflict?.kind === "refused" && conflict.error.reason === "already_exists");
    assert.match(conflict.error.message, /differs in channel/);
    const [taken] = await admission.admit("eve", [draft({ id })]);
    assert.ok(taken?.kind === "refused" && taken.error.reason === "id_taken");
    assert.doesNotMatch(taken.error.message, /ada/);
  });
});

describe("the queue's bound", () => {
  test("is exact, within one call and over several, and each pool has its own", async () => {
    const { admission } = tryAdmission({ maxQueued: 5 });
    const first = await admission.admit("ada", drafts(7));
    assert.deepEqual(first.map(shown), [...Array(5).fill("accepted"), "queue_full", "queue_full"]);
    assert.deepEqual((await admission.admit("bob", [draft()])).map(shown), ["queue_full"]);
    const other = draft({ task: "sleep", input: { kind: "json", value: {} } });
    assert.deepEqual((await admission.admit("bob", [other])).map(shown), ["accepted"]);
  });

  test("a refusal says how full it is and when to come back: later the slower the pool is", async () => {
    const refusedAt = async (attempts: number) => {
      const { admission, stats, clock } = tryAdmission({
        maxQueued: 5000,
        limits: { jobsPerSubmit: 9000, inputBytes: 9 },
      });
      const ended = Array.from({ length: attempts }, () => endedOf(newLease()));
      stats.ended(ended, ended.map(settlementOf));
      clock.advance(1000);
      const answers = await admission.admit("ada", drafts(5001));
      const last = answers.at(-1);
      assert.ok(last?.kind === "refused");
      assert.match(last.error.message, /pool "cpu" holds 5000 jobs and its limit is 5000/);
      return last.error.retryAfterMs;
    };
    assert.equal(await refusedAt(0), 10_000);
    assert.equal(await refusedAt(1000), 500);
    assert.equal(await refusedAt(100_000), 100);
  });

  test("duplicates, conflicts and taken ids give their room back", async () => {
    const { admission, backlog } = tryAdmission({ maxQueued: 3 });
    await admission.admit("ada", [draft({ id })]);
    await admission.admit("ada", [draft({ id }), draft({ id, channel: "other" })]);
    await admission.admit("eve", [draft({ id })]);
    assert.equal(backlog.queued("cpu"), 1);
  });

  test("bad jobs take no room", async () => {
    const { admission } = tryAdmission({ maxQueued: 1 });
    const answers = await admission.admit("ada", [draft({ id: "x" }), draft()]);
    assert.deepEqual(answers.map(shown), ["invalid_argument", "accepted"]);
  });
});

describe("a request as a whole", () => {
  test("needs a job, and has a bound", async () => {
    const { admission, stats } = tryAdmission();
    for (const count of [0, 21]) {
      const { reason, violations } = await refusalOf(admission.admit("ada", drafts(count)));
      assert.equal(reason, "invalid_argument");
      assert.equal(violations[0]?.field, "jobs");
    }
    assert.equal((await admission.admit("ada", drafts(20, { id: "x" }))).length, 20);
    assert.equal(stats.client("ada").refused, 41);
  });

  test("is refused while the server drains, with advice to come back", async () => {
    const { admission, store } = tryAdmission();
    admission.close();
    const { reason, retryAfterMs } = await refusalOf(admission.admit("ada", [draft()]));
    assert.equal(reason, "draining");
    assert.equal(retryAfterMs, 1000);
    assert.deepEqual((await store.list(everything)).jobs, []);
  });

  test("over the rate is refused as a whole, with the time after which it is granted", async () => {
    const { admission, clock, stats } = tryAdmission({ rates: { perSecond: 10, burst: 5, clients: {} } });
    const { reason, retryAfterMs } = await refusalOf(admission.admit("ada", drafts(2)));
    assert.equal(reason, "rate_limited");
    assert.equal(retryAfterMs, 200);
    assert.equal(stats.client("ada").refused, 2);
    clock.advance(200);
    assert.deepEqual((await admission.admit("ada", drafts(2))).map(shown), ["accepted", "accepted"]);
  });

  test("over the burst is refused for good: no advice to retry", async () => {
    const { admission } = tryAdmission({ rates: { perSecond: 10, burst: 5, clients: {} } });
    const { reason, retryAfterMs } = await refusalOf(admission.admit("ada", drafts(6)));
    assert.equal(reason, "over_burst");
    assert.equal(retryAfterMs, undefined);
  });

  test("fails when the store does: nothing was accepted", async () => {
    const submit = () => Promise.reject(refusal("store_failed", ["disk full"]));
    const { admission, stats } = tryAdmission({ store: { submit } });
    assert.equal((await refusalOf(admission.admit("ada", [draft()]))).reason, "store_failed");
    const { accepted, refusedBy } = stats.client("ada");
    assert.deepEqual([accepted, refusedBy], [0, [{ reason: "store_failed", jobs: 1 }]]);
  });

  test("whatever a request is refused for as a whole, each of its jobs counts as refused for that", async () => {
    const rates = { perSecond: 10, burst: 5, clients: {} };
    const { admission, stats } = tryAdmission({ rates });
    await refusalOf(admission.admit("ada", drafts(21)));
    await refusalOf(admission.admit("ada", drafts(6)));
    await refusalOf(admission.admit("ada", drafts(2)));
    admission.close();
    await refusalOf(admission.admit("ada", drafts(3)));
    const signal = new AbortController().signal;
    await admission.admitSlowly("ada", drafts(4), { signal, onWait() {} });

    const { refused, refusedBy } = stats.client("ada");
    assert.equal(refused, 36);
    assert.deepEqual(refusedBy, [
      { reason: "invalid_argument", jobs: 21 },
      { reason: "draining", jobs: 7 },
      { reason: "over_burst", jobs: 6 },
      { reason: "rate_limited", jobs: 2 },
    ]);
  });

  test("a job that was there counts as a duplicate, and not as accepted", async () => {
    const { admission, stats } = tryAdmission();
    const twice = draft({ id });
    await admission.admit("ada", [twice]);
    await admission.admit("ada", [twice]);
    const { accepted, duplicates } = stats.client("ada");
    assert.deepEqual([accepted, duplicates, stats.tasks()[0]?.accepted], [1, 1, 1]);
  });
});

test("a task's check is told whose job it is and when nobody waits for the answer; nothing that it refuses goes to the store", async () => {
  const calls: CheckCall[] = [];
  const { signal } = new AbortController();
  const { admission, hinted } = tryAdmission({
    tasks: () => new Map([["checked", loaded("checked", { hasCheck: true })]]),
    checks: {
      async check(inputs, call) {
        calls.push(call);
        return inputs.map(() => refusal("cancelled", []));
      },
    },
  });
  const job = draft({ id, task: "checked" });
  const answers = [
    ...(await admission.admit("ada", [job], signal)),
    ...(await admission.admitSlowly("bob", [job], { signal, onWait() {} })),
  ];
  assert.deepEqual(answers.map(shown), ["cancelled", "cancelled"]);
  assert.deepEqual(calls, [
    { client: "ada", signal },
    { client: "bob", signal },
  ]);
  assert.deepEqual(hinted, []);
});
