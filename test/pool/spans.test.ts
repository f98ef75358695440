import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { Lease } from "../../src/job/job.ts";
import { attemptSpanId, childSpanId, type SpanRecord, storedTrace } from "../../src/job/trace.ts";
import type { Ended } from "../../src/pool/port.ts";
import { job, shown, tryPool } from "./try-pool.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const caller = (flags: "00" | "01") => `00-${traceId}-00f067aa0ba902b7-${flags}`;
const sampled = storedTrace({ traceparent: caller("01") }, null);
const unsampled = storedTrace({ traceparent: caller("00") }, null);

/** None is taken back from behind another one that takes long, as any may on a machine that is busy. */
const untraced = { takesBack: false };
const traced = { ...untraced, isTraced: true };
/** For attempts that leave their thread as it was. */
const { pool: shared } = tryPool({ after }, traced);
const traces = (way: string, overrides: Partial<Lease> = {}) => job("traces", way, { trace: sampled, ...overrides });

/** Name, name of the span above, error. */
function tree(spans: readonly SpanRecord[] = []) {
  return spans.map(({ name, parent, error }) => {
    const line = [name, spans[parent]?.name ?? "attempt"];
    return error === undefined ? line : [...line, error];
  });
}

/** Every span lies within the attempt and within the one above it. */
function assertTimes({ spans = [], startedAt, finishedAt }: Ended): void {
  for (const span of spans) {
    const above = spans[span.parent] ?? { startedAt, endedAt: finishedAt };
    const slackMs = 0.1; // the attempt's end is reckoned from its own duration
    assert.ok(span.startedAt >= above.startedAt - slackMs && span.endedAt <= above.endedAt + slackMs, span.name);
    assert.ok(span.endedAt >= span.startedAt, span.name);
  }
}

const unfinished = { "millpond.span.unfinished": true };

describe("ctx.span", () => {
  test("gives what its code gives, and comes back with the outcome as part of a tree, with its times and attributes", async () => {
    const [ended] = await shared.run([traces("nested")]);
    assert.equal(shown(ended!), 'succeeded json "ab"');
    assert.deepEqual(tree(ended!.spans), [
      ["outer", "attempt"],
      ["first", "outer"],
      ["second", "outer"],
      ["third", "second"],
    ]);
    assert.deepEqual(ended!.spans?.[1]?.attributes, { n: 1, isFine: true, text: "t" });
    assertTimes(ended!);
    assert.ok(ended!.spans?.some(({ startedAt }) => !Number.isInteger(startedAt)));
  });

  test("of a promise keeps what it carries besides its value, and no attribute without a name", async () => {
    const [ended] = await shared.run([traces("carries")]);
    assert.equal(shown(ended!), 'succeeded json ["value",7]');
    assert.deepEqual(ended!.spans?.[0]?.attributes, { named: 1 });
  });

  test("of concurrent work stands below the span that it was begun in", async () => {
    const [ended] = await shared.run([traces("concurrent")]);
    assert.deepEqual(tree(ended!.spans), [
      ["left", "attempt"],
      ["right", "attempt"],
      ["below left", "left"],
      ["below right", "right"],
    ]);
    assertTimes(ended!);
  });

  test("that fails says what was thrown, and throws it", async (t) => {
    const { pool } = tryPool(t, traced);
    const [thrown, rejected] = await pool.run([traces("throws"), traces("rejects")]);
    assert.equal(shown(thrown!), "failed task_failed");
    assert.deepEqual(tree(thrown!.spans), [
      ["outer", "attempt", "too far"],
      ["quick", "outer"],
    ]);
    assert.equal(shown(rejected!), 'succeeded json "Error: later"');
    assert.deepEqual(tree(rejected!.spans), [["rejects", "attempt", "later"]]);
  });

  test("gives a promise with all that it carries, such as the process of a promisified `execFile`", async () => {
    const [ended] = await shared.run([traces("child")]);
    assert.equal(shown(ended!), 'succeeded json "a process"');
  });

  test("gives what has a `then` and is no promise as it is: a query does not run before it is awaited", async () => {
    const [ended] = await shared.run([traces("query")]);
    assert.equal(shown(ended!), "succeeded json [true,0]");
    assert.deepEqual(tree(ended!.spans), [["query", "attempt"]]);
  });

  test("does not hide a rejection that nobody waits for", async (t) => {
    const [ended] = await tryPool(t, traced).pool.run([traces("unhandled")]);
    assert.equal(shown(ended!), "failed task_failed");
    assert.deepEqual(tree(ended!.spans), [["nobody waits", "attempt"]]);
  });

  test("beyond 128 of an attempt, or 32768 characters, is counted and not kept; its code runs all the same", async (t) => {
    const { pool } = tryPool(t, traced);
    const [many, large] = await pool.run([traces("many"), traces("large")]);
    assert.equal(many!.spans?.length, 128);
    assert.equal(many!.droppedSpans, 73);
    assert.match(shown(many!), /^succeeded json "00-/);
    assert.deepEqual([large!.spans?.length, large!.droppedSpans], [1, 9]);
    const [{ name, attributes = {} }] = large!.spans as [SpanRecord];
    assert.equal(name.length, 100);
    assert.equal(Object.keys(attributes).length, 32);
    for (const [key, value] of Object.entries(attributes))
      assert.deepEqual([key.length, String(value).length], [100, 1000]);
  });

  test("takes whatever it is given for a name and attributes, and none of it harms the job", async () => {
    const [ended] = await shared.run([traces("odd")]);
    assert.equal(shown(ended!), "succeeded json 1");
    assert.deepEqual(
      ended!.spans?.map(({ name, attributes }) => [name, attributes]),
      [
        [
          "5",
          {
            circle: '{"self":"[circular]","getter":"[cannot be read]"}',
            ...{ big: "1", nan: "NaN", list: '[1,"a"]', symbol: "Symbol(s)" },
          },
        ],
        ["null", undefined],
        ["span", { 0: "t", 1: "e", 2: "x", 3: "t" }],
        ["[Object]", undefined],
        ["getter", undefined],
        ["thrown", undefined],
        ["then", undefined],
      ],
    );
  });

  test("that is open when its attempt ends, ends with it and says so", async () => {
    const [ended] = await shared.run([traces("open")]);
    assert.deepEqual(tree(ended!.spans), [["left open", "attempt"]]);
    assert.deepEqual(ended!.spans?.[0]?.attributes, { kept: "yes", ...unfinished });
    assertTimes(ended!);
  });

  test("of what a job left running is recorded for no other job", async (t) => {
    const { pool } = tryPool(t, traced);
    const [first, second, third] = await pool.run([traces("leaves"), traces("follows"), traces("follows")]);
    assert.deepEqual(tree(first!.spans), [["mine", "attempt"]]);
    for (const later of [second, third]) assert.deepEqual(tree(later!.spans), [["own", "attempt"]]);
  });

  for (const [how, why] of [
    ["timed out", "timed_out 1000"],
    ["cancelled", "cancelled"],
  ] as const) {
    test(`of an attempt that is ${how} and does not yield ends with its thread, and says so`, async (t) => {
      const { pool, heard } = tryPool(t, { ...traced, graceMs: 50 });
      const before = job("echo", 1, { trace: sampled });
      const lease = traces("spins", how === "timed out" ? { timeoutMs: 1000 } : {});
      const running = pool.run([before, lease]);
      await heard("waiting");
      if (how === "cancelled") pool.cancel(lease.seq);
      const [, ended] = await running;
      assert.equal(shown(ended!), why);
      assert.deepEqual(tree(ended!.spans), [
        ["done", "attempt"],
        ["work", "attempt"],
        ["never ends", "work"],
      ]);
      assert.deepEqual(
        ended!.spans?.map(({ attributes }) => attributes),
        [undefined, unfinished, unfinished],
      );
      assert.equal(ended!.spans?.[2]?.endedAt, ended!.finishedAt);
      assertTimes(ended!);
    });
  }

  test("of an attempt whose thread is ended is kept up to the 32nd, and those after it are counted", async (t) => {
    const { pool, heard } = tryPool(t, { ...traced, graceMs: 50 });
    const lease = traces("many_then_spins");
    const running = pool.run([lease]);
    await heard("waiting");
    pool.cancel(lease.seq);
    const [ended] = await running;
    assert.deepEqual([ended!.spans?.length, ended!.spans?.[31]?.name, ended!.droppedSpans], [32, "step 31", 8]);
  });

  test("of a killed attempt is not handed in for the job that runs in its place afterwards", async (t) => {
    const { pool, heard } = tryPool(t, { ...traced, graceMs: 50 });
    for (const [times, way] of ["spins", "spin"].entries()) {
      const lease = way === "spins" ? traces(way) : job("waits", way, { trace: sampled });
      const running = pool.run([lease]);
      await heard("waiting", times + 1);
      pool.cancel(lease.seq);
      const [ended] = await running;
      assert.equal(ended!.spans?.length, way === "spins" ? 3 : undefined);
    }
  });

  test("of an attempt that is given back comes with it", async (t) => {
    const { pool, heard } = tryPool(t, traced);
    const running = pool.run([traces("told")]);
    await heard("waiting");
    pool.releaseAll();
    const [ended] = await running;
    assert.equal(shown(ended!), "released");
    assert.deepEqual(tree(ended!.spans), [["waits", "attempt", "asked to stop: the attempt is released"]]);
  });

  test("of an unsampled job is handed in only when the attempt fails", async (t) => {
    const { pool } = tryPool(t, traced);
    for (const trace of [unsampled, null]) {
      const [good, bad] = await pool.run([traces("nested", { trace }), traces("throws", { trace })]);
      assert.deepEqual([shown(good!), good!.spans], ['succeeded json "ab"', undefined]);
      assert.equal(bad!.spans?.length, 2);
    }
  });

  test("records nothing while the server exports no traces, and gives what its code gives", async (t) => {
    const { pool } = tryPool(t, untraced);
    const [good, bad] = await pool.run([traces("nested"), traces("throws")]);
    assert.deepEqual([shown(good!), shown(bad!)], ['succeeded json "ab"', "failed task_failed"]);
    assert.deepEqual([good!.spans, bad!.spans], [undefined, undefined]);
  });
});

describe("ctx.trace", () => {
  const given = { tracestate: "vendor=1", baggage: "customer=17" };
  const outputOf = ({ outcome }: Ended) =>
    JSON.parse(Buffer.from(outcome.kind === "succeeded" ? outcome.output!.bytes : []).toString());

  test("is the span that the code belongs to, in the job's trace, with the caller's tracestate and baggage", async (t) => {
    const trace = storedTrace({ traceparent: caller("01"), ...given }, null);
    const lease = traces("trace", { trace, attempt: 1, fence: 3 });
    const [ended] = await tryPool(t, traced).pool.run([lease]);
    const attempt = attemptSpanId(lease.id, 3);
    assert.deepEqual(outputOf(ended!), {
      attempt: { traceparent: `00-${traceId}-${attempt}-01`, ...given },
      inside: { traceparent: `00-${traceId}-${childSpanId(attempt, 1)}-01`, ...given },
    });
  });

  test("of a job without a trace is one of its own, unsampled", async (t) => {
    for (const isTraced of [true, false]) {
      const lease = traces("trace", { trace: null });
      const [ended] = await tryPool(t, { ...untraced, isTraced }).pool.run([lease]);
      const traceparent = `00-${lease.id.replaceAll("-", "")}-${attemptSpanId(lease.id, 1)}-00`;
      assert.deepEqual(outputOf(ended!).attempt, { traceparent });
    }
  });

  test("is the caller's own while the server exports no traces", async (t) => {
    const trace = storedTrace({ traceparent: caller("00"), ...given }, null);
    const [ended] = await tryPool(t, untraced).pool.run([traces("trace", { trace })]);
    const own = { traceparent: caller("00"), ...given };
    assert.deepEqual(outputOf(ended!), { attempt: own, inside: own });
  });
});
