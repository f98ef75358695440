/** What a real server process exports of jobs whose callers trace nothing. */
import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import { echo, idsOf, type JobInit, json, whenFinal } from "../rpc/jobs.ts";
import { clientAt, makePlace } from "../server/place.ts";
import { type NewTrace, newTrace, one, openReceiver, otlp, traceparentOf, treeOf } from "./receiver.ts";

const fails = (message: string, more: object = {}): JobInit => ({ task: "fail", input: json({ message, ...more }) });

suite("a job that nobody traces", () => {
  async function spansOf(t: TestContext, flags: readonly string[], env: object, jobs: JobInit[], trace?: NewTrace) {
    const receiver = await openReceiver(t);
    const { start } = await makePlace(t);
    const server = await start(flags, { ...otlp(receiver), ...env });
    const client = clientAt(server);
    const unsampled = trace && { headers: { traceparent: traceparentOf(trace, "00") } };
    const { receipts } = await client.submit({ jobs }, unsampled);
    for (const id of idsOf(receipts)) await whenFinal(client, id);
    assert.equal((await server.signal("SIGTERM")).code, 0);
    return { spans: receiver.spans, ids: idsOf(receipts) };
  }

  test("has no span, and its attempts that fail are exported all the same, in a trace of their own", async (t) => {
    const twice = { ...fails("no luck", { retryable: true }), retry: { maxAttempts: 2, base: { nanos: 1_000_000 } } };
    const { spans, ids } = await spansOf(t, ["--tracing-jobs-per-second", "0"], {}, [echo(1), twice]);
    const traceId = ids[1]!.replaceAll("-", "");
    const attempt = ["  queue wait", "  attempt", "  settle"];
    // a retry may be due at once, while the attempt before it is still being settled
    assert.deepEqual(treeOf(spans, traceId).toSorted(), ["fail publish", ...attempt, ...attempt].toSorted());
    assert.ok(spans.every((span) => span.traceId === traceId));
  });

  test("and whose caller has a trace, unsampled, fails in the caller's", async (t) => {
    const trace = newTrace();
    const { spans } = await spansOf(t, [], {}, [echo(1), fails("no luck")], trace);
    assert.deepEqual(treeOf(spans, trace.traceId), ["fail publish", "  queue wait", "  attempt", "  settle"]);
    assert.equal(one(spans, "fail publish", trace.traceId).parentId, trace.parentId);
  });

  test("is traced while few are: the bound is on jobs, also of one request", async (t) => {
    const jobs = Array.from({ length: 5 }, (_, index) => echo(index));
    const { spans } = await spansOf(t, ["--tracing-jobs-per-second", "2"], {}, jobs);
    const [submit] = spans.filter(({ name }) => name === "submit");
    assert.equal(submit?.parentId, "");
    assert.equal(spans.filter(({ name }) => name === "echo publish").length, 2);
    assert.equal(spans.filter(({ name }) => name === "attempt").length, 2);
  });

  test("is traced as OTEL_TRACES_SAMPLER says", async (t) => {
    const jobs = Array.from({ length: 5 }, (_, index) => echo(index));
    const flags = ["--tracing-jobs-per-second", "0"];
    const all = await spansOf(t, flags, { OTEL_TRACES_SAMPLER: "always_on" }, jobs);
    assert.equal(all.spans.filter(({ name }) => name === "attempt").length, 5);
    const none = await spansOf(t, [], { OTEL_TRACES_SAMPLER: "always_off" }, [...jobs, fails("no luck")]);
    assert.deepEqual(none.spans, []);
  });
});
