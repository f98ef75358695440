import assert from "node:assert/strict";
import { test } from "node:test";
import { createAlerts, type Death } from "../../../src/engine/settle/alerts.ts";
import type { Fetch } from "../../../src/engine/settle/webhook.ts";
import { attemptSpanId } from "../../../src/job/trace.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { keptLog } from "../../support/samples.ts";

const id = "01990000-0000-7000-8000-000000000078";

function deaths(count: number, overrides: Partial<Death> = {}): Death[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `job-${index}`,
    client: "ada",
    task: "echo",
    pool: "cpu",
    deadReason: "exhausted",
    failure: {
      reason: "task_failed",
      message: "no luck",
      retryable: true,
      details: { secret: "inside" },
      stack: "at x",
    },
    attempts: 4,
    fence: 7,
    trace: null,
    at: Date.UTC(2026, 10, 24),
    ...overrides,
  }));
}

function open(webhook: string | null = null) {
  const clock = createFakeClock();
  const { lines, log } = keptLog();
  const bodies: unknown[] = [];
  const fetch: Fetch = async (_, { body }) => {
    bodies.push(JSON.parse(body));
    return { status: 204, body: null };
  };
  return { clock, lines, bodies, alerts: createAlerts({ webhook, fetch, clock, log }) };
}

test("each job that dies is a line in the log, with why it died and the span of its last attempt", () => {
  const { alerts, lines } = open();
  alerts.died(deaths(2, { id, trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" }));
  assert.equal(lines.length, 2);
  assert.deepEqual(lines[1], {
    level: "warn",
    text: "a job died",
    fields: {
      ...{ job: id, client: "ada", task: "echo", pool: "cpu", deadReason: "exhausted", attempts: 4 },
      ...{ reason: "task_failed", message: "no luck", stack: "at x" },
      ...{ trace_id: "4bf92f3577b34da6a3ce929d0e0e4736", span_id: attemptSpanId(id, 7), trace_flags: "01" },
    },
  });
});

for (const [reason, message] of [
  ["bad_output", "output.secret is a function"],
  ["bad_input", "the task no longer takes this input: input.secret is missing"],
] as const) {
  test(`no part of an input or output leaves for the log or the webhook with ${reason}, and the line says where it is`, async () => {
    const { alerts, lines, bodies } = open("http://localhost/hook");
    alerts.died(deaths(1, { failure: { reason, message, retryable: false, stack: "at secret" } }));
    await alerts.stop();
    assert.doesNotMatch(JSON.stringify([lines, bodies]), /secret/);
    assert.match(String(lines[0]?.fields["message"]), /GetJob/);
  });
}

test("of those beyond twenty in a second the log has the number by reason, and then begins anew", () => {
  const { alerts, lines, clock } = open();
  alerts.died(deaths(15));
  alerts.died([...deaths(6), ...deaths(1000, { deadReason: "expired" })]);
  assert.equal(lines.length, 20);
  clock.advance(1000);
  assert.equal(lines.length, 21);
  assert.deepEqual(lines[20]?.fields, { exhausted: 1, expired: 1000 });
  alerts.died(deaths(3));
  assert.equal(lines.length, 24);
  clock.advance(1000);
  assert.equal(lines.length, 24);
});

test("the webhook gets what one needs to find the job, and no details of the failure", async () => {
  const { alerts, bodies } = open("http://localhost/hook");
  await alerts.start();
  alerts.died(deaths(1));
  await alerts.stop();
  assert.deepEqual(bodies, [
    {
      deaths: [
        {
          ...{ id: "job-0", client: "ada", task: "echo", pool: "cpu", deadReason: "exhausted", attempts: 4 },
          failure: { reason: "task_failed", message: "no luck" },
          at: "2026-11-24T00:00:00.000Z",
        },
      ],
      dropped: 0,
    },
  ]);
});

test("nothing is said of no deaths", async () => {
  const { alerts, bodies, clock } = open("http://localhost/hook");
  alerts.died([]);
  assert.equal(clock.timers(), 0);
  await alerts.stop();
  assert.deepEqual(bodies, []);
});

test("stop says what is still to be said, leaves no timer, and may come twice", async () => {
  const { alerts, lines, clock } = open();
  alerts.died(deaths(21));
  await alerts.stop();
  assert.deepEqual(lines[20]?.fields, { exhausted: 1 });
  assert.equal(clock.timers(), 0);
  await alerts.stop();
  assert.equal(lines.length, 21);
});
