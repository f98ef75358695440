import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { storedTrace, traceOf } from "../../src/job/trace.ts";
import { createContexts, type GivenContext, maxBaggage, maxTracestate } from "../../src/job/trace-context.ts";

const traceparent = `00-${"b".repeat(32)}-${"c".repeat(16)}-01`;
const open = (propagates = { trace: true, baggage: true }) => createContexts(propagates);

suite("a trace context", () => {
  test("is read as it came", () => {
    const contexts = open();
    const given = { traceparent, tracestate: "vendor=1", baggage: "user=ada,plan=b%20c" };
    assert.deepEqual(contexts.read(given), given);
    assert.deepEqual(contexts.read({ traceparent, tracestate: "", baggage: undefined }), { traceparent });
    assert.equal(contexts.dropped(), 0);
  });

  test("is the first that says something: the job's, then the request's, then the call's", () => {
    const contexts = open();
    const own = { traceparent: traceparent.replaceAll("c", "d") };
    assert.deepEqual(contexts.read(undefined, {}, own, { traceparent }), own);
    assert.deepEqual(contexts.read({ traceparent: "no" }, { traceparent }), { traceparent });
    assert.equal(contexts.read(undefined, {}), null);
  });

  test("has the trace of the first that has one, and the baggage of the first that has some", () => {
    const call = { traceparent, tracestate: "vendor=1", baggage: "user=ada" };
    const contexts = open();
    assert.deepEqual(contexts.read({ baggage: "user=eve" }, call), { ...call, baggage: "user=eve" });
    assert.deepEqual(contexts.read({ traceparent: "no", baggage: "user=eve" }, call), { ...call, baggage: "user=eve" });
    const own = { traceparent: traceparent.replaceAll("c", "d") };
    assert.deepEqual(contexts.read(own, call), { ...own, baggage: "user=ada" });
    assert.equal(contexts.read(undefined, call), contexts.read(call), "the same object while nothing is joined");
  });

  test("of a later version is read as far as it is known", () => {
    const later = `cc-${"b".repeat(32)}-${"c".repeat(16)}-01-what-the-future-will-be-like`;
    assert.deepEqual(open().read({ traceparent: later }), { traceparent });
  });

  const malformed = [
    "no",
    traceparent.toUpperCase(),
    `${traceparent}-more`,
    `${traceparent}\n`,
    traceparent.replace("00-", "ff-"),
    traceparent.replace("b".repeat(32), "0".repeat(32)),
    traceparent.replace("c".repeat(16), "0".repeat(16)),
    ` ${traceparent}`,
  ];
  for (const each of malformed) {
    test(`that is malformed is ignored and counted: ${JSON.stringify(each)}`, () => {
      const contexts = open();
      assert.equal(contexts.read({ traceparent: each }), null);
      assert.equal(contexts.dropped(), 1);
    });
  }

  test("is dropped in the part that is too long or has control characters, and the rest is kept", () => {
    const parts: GivenContext[] = [
      { tracestate: `a=${"x".repeat(maxTracestate - 1)}` },
      { baggage: `a=${"x".repeat(maxBaggage - 1)}` },
      { tracestate: "a=1\nb" },
      { baggage: "a=1\r" },
      { baggage: "user=ä" },
    ];
    const contexts = open();
    for (const part of parts) assert.deepEqual(contexts.read({ traceparent, ...part }), { traceparent });
    assert.equal(contexts.dropped(), parts.length);
    const full = { traceparent, tracestate: "x".repeat(maxTracestate), baggage: "x".repeat(maxBaggage) };
    assert.deepEqual(contexts.read(full), full);
  });

  test("of a call counts once, however many requests it makes", () => {
    const contexts = open();
    const call = { traceparent: "no" };
    for (let request = 0; request < 5; request += 1) assert.equal(contexts.read(call), null);
    assert.equal(contexts.dropped(), 1);
  });

  test("that is baggage alone has a trace of its own, unsampled, without a parent", () => {
    const context = open().read({ baggage: "user=ada" });
    assert.ok(context);
    const { parentId, isSampled, baggage } = traceOf({ id: "", trace: storedTrace(context, null) });
    assert.deepEqual([parentId, isSampled, baggage], [null, false, "user=ada"]);
  });

  test("is not looked at where OTEL_PROPAGATORS leaves it out", () => {
    const given = { traceparent, tracestate: "a=1", baggage: "user=ada" };
    assert.deepEqual(open({ trace: true, baggage: false }).read(given), { traceparent, tracestate: "a=1" });
    assert.equal(open({ trace: false, baggage: false }).read(given), null);
  });
});
