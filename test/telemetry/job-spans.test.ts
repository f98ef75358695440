import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Lease, Outcome } from "../../src/job/job.ts";
import { attemptSpanId, childSpanId, jobSpanId } from "../../src/job/trace.ts";
import { transition } from "../../src/job/transition.ts";
import { createJobSpans } from "../../src/telemetry/job-spans.ts";
import type { Span } from "../../src/telemetry/span.ts";
import type { TracedAttempt } from "../../src/tracing.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { failedOnce, newLease, succeeded } from "../support/samples.ts";
import { t0 } from "../store/sample.ts";

const trace = `00-${"b".repeat(32)}-${"c".repeat(16)}-01`;
const policy = { maxAttempts: 3, baseMs: 100, factor: 2, maxBackoffMs: 100, jitter: "none" as const };

function open({ room = Number.POSITIVE_INFINITY } = {}) {
  const given: Span[] = [];
  let dropped = 0;
  const sink = {
    hasRoom(spans: number) {
      if (given.length < room) return true;
      dropped += spans;
      return false;
    },
    add: (span: Span) => void given.push(span),
  };
  const clock = createFakeClock(t0 + 20.5);
  const spans = createJobSpans(sink, clock);
  const settle = (lease: Lease, outcome: Outcome, more: Partial<TracedAttempt> = {}) => {
    const attempt = { lease, outcome, startedAt: t0 + 5.25, finishedAt: t0 + 8.75, tookMs: 3.5, ...more };
    spans.settled([attempt], [transition(lease, outcome, policy, attempt, () => 0)]);
    return attempt;
  };
  return { ...spans, settle, given, names: () => given.map(({ name }) => name), dropped: () => dropped };
}

suite("the spans of a job", () => {
  test("that the task made stand below its attempt, as deep as they were, with what they threw", () => {
    const { settle, given } = open();
    const lease = newLease({ trace });
    const [startedAt, endedAt] = [t0 + 6.125, t0 + 7.375];
    settle(lease, succeeded, {
      spans: [
        { name: "resize", parent: -1, startedAt, endedAt, attributes: { width: 7 } },
        { name: "decode", parent: 0, startedAt, endedAt, error: "no picture" },
      ],
    });
    const [resize, decode] = ["resize", "decode"].map((name) => given.find((span) => span.name === name));
    const attemptId = attemptSpanId(lease.id, lease.fence);
    assert.deepEqual([resize?.parentId, resize?.attributes], [attemptId, { width: 7 }]);
    assert.deepEqual([resize?.startedAt, resize?.endedAt], [startedAt, endedAt]);
    assert.deepEqual([resize?.spanId, decode?.parentId], [childSpanId(attemptId, 0), childSpanId(attemptId, 0)]);
    assert.equal(decode?.error?.message, "no picture");
    assert.equal(decode?.events?.[0]?.name, "exception");
  });

  test("that are more than an attempt keeps are counted on it", () => {
    const { settle, given } = open();
    settle(newLease({ trace }), succeeded, { spans: [], droppedSpans: 7 });
    settle(newLease({ trace }), succeeded);
    const attempts = given.filter(({ name }) => name === "attempt");
    assert.deepEqual(
      attempts.map(({ attributes }) => attributes["millpond.spans.dropped"]),
      [7, undefined],
    );
  });

  test("are none of a job that is not traced and does not fail", () => {
    const { settle, accepted, names } = open();
    accepted([newLease(), newLease({ trace: trace.replace(/1$/, "0") })]);
    for (const outcome of [succeeded, { kind: "cancelled" }, { kind: "released" }] as const)
      settle(newLease(), outcome);
    assert.deepEqual(names(), []);
  });

  test("of one that fails untraced begin with the job's own, once: not at its second attempt, nor after a redrive", () => {
    const { settle, given, names } = open();
    const lease = newLease();
    settle(lease, failedOnce);
    assert.deepEqual(names(), ["echo publish", "queue wait", "attempt", "settle"]);
    assert.ok(given.every(({ traceId }) => traceId === lease.id.replaceAll("-", "")));
    assert.deepEqual([given[0]?.parentId, given[0]?.spanId], [null, jobSpanId(lease.id)]);
    settle({ ...lease, attempt: 2, fence: 2 }, failedOnce);
    settle({ ...lease, attempt: 1, fence: 3, redrives: 1 }, failedOnce);
    assert.equal(names().filter((name) => name === "echo publish").length, 1);
    const attempts = given.filter(({ name }) => name === "attempt");
    assert.deepEqual(
      attempts.map(({ attributes }) => attributes["millpond.redrives"]),
      [undefined, undefined, 1],
    );
  });

  test("say of an attempt that did not begin how its wait ended", () => {
    const { settle, given, names } = open();
    settle(
      newLease({ trace }),
      { kind: "expired", hasStarted: false },
      { startedAt: t0 + 9, finishedAt: t0 + 9, tookMs: 0 },
    );
    assert.deepEqual(names(), ["queue wait", "settle"]);
    assert.equal(given[0]?.error?.type, "expired");
    settle(newLease({ trace, isCancelling: true }), { kind: "released" }, { tookMs: 0 });
    assert.deepEqual(
      [given[2]?.name, given[2]?.events?.[0]?.name, given[2]?.error],
      ["queue wait", "cancelled", undefined],
    );
  });

  test("of a job that is cancelled while it waits end with that, and with the delivery of its result", () => {
    const { cancelled, delivered, given, names } = open();
    const job = {
      ...newLease({ trace: `${trace}\n\n\n${(t0 + 0.375).toFixed(3)}`, runAt: t0, submittedAt: t0 }),
      attempts: 0,
    };
    const [retried, early] = [
      { ...newLease({ trace, runAt: t0 + 3 }), attempts: 2, redrives: 1 },
      { ...newLease({ trace, runAt: t0 + 60_000 }), attempts: 0 },
    ];
    cancelled([job, { ...newLease(), attempts: 0 }, retried, early]);
    assert.deepEqual(names(), ["queue wait", "queue wait", "queue wait"]);
    assert.deepEqual(
      given.map(({ startedAt, endedAt }) => [startedAt, endedAt]),
      [
        [t0 + 0.375, t0 + 20.5],
        [t0 + 3, t0 + 20.5],
        [t0 + 20.5, t0 + 20.5], // before it was due
      ],
    );
    const [wait, again] = given;
    assert.deepEqual([wait?.parentId, wait?.error], [jobSpanId(job.id), undefined]);
    assert.deepEqual(wait?.events, [{ name: "cancelled", at: t0 + 20.5, attributes: {} }]);
    assert.deepEqual(
      [wait?.attributes["millpond.outcome"], wait?.attributes["millpond.state"], wait?.attributes["millpond.attempt"]],
      ["cancelled", "CANCELLED", 1],
    );
    assert.deepEqual([again?.attributes["millpond.attempt"], again?.attributes["millpond.redrives"]], [3, 1]);
    delivered([{ id: job.id }], t0 + 19);
    assert.deepEqual([names().at(-1), given.at(-1)?.parentId], ["deliver", jobSpanId(job.id)]);
  });

  test("show a lost attempt at the moment at which it was found, for nobody knows more", () => {
    const { settle, given, names } = open();
    const found = { startedAt: t0 + 9_000, finishedAt: t0 + 9_000, tookMs: 0 };
    settle(newLease({ trace }), { kind: "lost", died: "server" }, found);
    assert.deepEqual(names(), ["attempt", "settle"]);
    assert.deepEqual([given[0]?.startedAt, given[0]?.endedAt, given[0]?.error?.type], [t0 + 9_000, t0 + 9_000, "lost"]);
  });

  test("begin their first wait when the server had the job, and a later one when it was due again", () => {
    const { settle, given } = open();
    const stored = `${trace}\n\n\n${(t0 + 0.375).toFixed(3)}`;
    settle(newLease({ trace: stored, runAt: t0, submittedAt: t0 }), succeeded);
    settle(newLease({ trace: stored, runAt: t0 + 3, submittedAt: t0, fence: 2, attempt: 2 }), succeeded);
    const waits = given.filter(({ name }) => name === "queue wait");
    assert.deepEqual(
      waits.map(({ startedAt, endedAt }) => [startedAt, endedAt]),
      [
        [t0 + 0.375, t0 + 5.25],
        [t0 + 3, t0 + 5.25],
      ],
    );
  });

  test("end with the delivery of its result, once", () => {
    const { settle, delivered, given } = open();
    const lease = newLease({ trace });
    settle(lease, succeeded);
    delivered([{ id: lease.id }, newLease()], t0 + 19.5);
    delivered([{ id: lease.id }], t0 + 20);
    const deliveries = given.filter(({ name }) => name === "deliver");
    assert.deepEqual(
      deliveries.map(({ startedAt, endedAt }) => [startedAt, endedAt]),
      [[t0 + 19.5, t0 + 20.5]],
    );
    assert.equal(deliveries[0]?.parentId, jobSpanId(lease.id));
  });

  test("are counted and not made where there is no room", () => {
    const { settle, accepted, cancelled, names, dropped } = open({ room: 0 });
    accepted([newLease({ trace })]);
    cancelled([{ ...newLease({ trace }), attempts: 0 }]);
    settle(newLease({ trace }), failedOnce);
    settle(newLease(), failedOnce); // whose own span was not made before
    assert.deepEqual([names(), dropped()], [[], 9]);
  });
});
