/** A real server process that exports to a receiver in this one, by each protocol. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { suite, test } from "node:test";
import { attemptSpanId, jobSpanId } from "../../src/job/trace.ts";
import { ways } from "../rpc/fixtures.ts";
import { openGate } from "../rpc/gate.ts";
import {
  echo,
  exchange,
  fates,
  follow,
  idsOf,
  type JobInit,
  json,
  later,
  newChannel,
  outputOf,
  whenFinal,
} from "../rpc/jobs.ts";
import { clientAt, makePlace } from "../server/place.ts";
import { inOneServer } from "./one-server.ts";
import {
  headersOf,
  type NewTrace,
  newTrace,
  one,
  openGrpcReceiver,
  openReceiver,
  otlp,
  type Span,
  traceparentOf,
  treeOf,
} from "./receiver.ts";

const fails = (message: string, more: object = {}): JobInit => ({ task: "fail", input: json({ message, ...more }) });
const msOf = (span: Span) => Number(span.endedAt - span.startedAt) / 1e6;

const whole = ["submit", "  echo publish", "    queue wait", "    attempt", "    settle", "    deliver"];

suite("a job is one trace", () => {
  const tracedTest = inOneServer();

  const protocols = [
    ["http/protobuf", openReceiver, "/v1/traces application/x-protobuf"],
    ["http/json", openReceiver, "/v1/traces application/json"],
    ["grpc", openGrpcReceiver, "/opentelemetry.proto.collector.trace.v1.TraceService/Export application/grpc"],
  ] as const;
  for (const [protocol, open, request] of protocols) {
    test(`from submit to deliver, below the caller's span, with times that add up, by ${protocol}`, async (t) => {
      const receiver = await open(t);
      const { start } = await makePlace(t);
      const server = await start([], { ...otlp(receiver, protocol), OTEL_SERVICE_NAME: "mill" });
      const client = clientAt(server);
      const channel = newChannel();
      const trace = newTrace();
      const id = randomUUID();
      const before = BigInt(Date.now()) * 1_000_000n;
      await client.submit({ jobs: [echo("traced", { id, channel })] }, headersOf(trace));
      await follow(client, { channel }, 1);
      const seenNs = BigInt(Date.now() + 1) * 1_000_000n - before;
      assert.equal((await server.signal("SIGTERM")).code, 0);

      const { spans } = receiver;
      assert.ok(
        receiver.requests.length > 0 && receiver.requests.every((each) => each === request),
        receiver.requests.join(),
      );
      assert.deepEqual(treeOf(spans, trace.traceId), whole);
      const [submit, publish, wait, attempt, settle, deliver] = whole.map((name) =>
        one(spans, name.trim(), trace.traceId),
      );
      assert.ok(submit && publish && wait && attempt && settle && deliver);
      assert.equal(submit.parentId, trace.parentId);
      assert.deepEqual([publish.spanId, attempt.spanId], [jobSpanId(id), attemptSpanId(id, 1)]);
      const kinds = [submit, publish, wait, attempt, settle, deliver].map(({ kind }) => kind);
      assert.deepEqual(kinds, ["server", "producer", "internal", "consumer", "internal", "internal"]);
      assert.equal(submit.resource["service.name"], "mill");
      assert.ok(
        isIP(String(submit.resource.ip)),
        "without it Jaeger moves spans, for it takes the host's clock for wrong",
      );

      assert.ok(publish.startedAt >= submit.startedAt && publish.endedAt <= submit.endedAt, "publish is within submit");
      assert.equal(wait.startedAt, publish.startedAt);
      assert.equal(wait.endedAt, attempt.startedAt);
      assert.ok(settle.startedAt === attempt.endedAt && settle.endedAt >= settle.startedAt);
      assert.ok(deliver.startedAt >= attempt.endedAt && deliver.endedAt >= deliver.startedAt);
      assert.ok(spans.every((span) => span.startedAt >= before - 1_000_000n && span.endedAt >= span.startedAt));
      const spentNs = wait.endedAt - wait.startedAt + (attempt.endedAt - attempt.startedAt);
      assert.ok(spentNs > 0n && spentNs <= seenNs, `${spentNs} ns were spent, and the client saw ${seenNs}`);

      const { attributes } = attempt;
      const { "messaging.message.id": jobId, "messaging.destination.name": pool, "millpond.task": task } = attributes;
      assert.deepEqual([jobId, pool, task], [id, "cpu", "echo"]);
      assert.deepEqual([attributes["millpond.outcome"], attributes["millpond.attempt"]], ["succeeded", 1]);
      const { "rpc.method": method, "rpc.system.name": system, "rpc.status_code": status } = submit.attributes;
      assert.deepEqual([method, system, status], ["millpond.v1.WorkerPoolService/Submit", "grpc", "OK"]);
      assert.deepEqual(
        [submit.attributes["messaging.client.id"], submit.attributes["millpond.jobs.accepted"]],
        ["ada", 1],
      );
    });
  }

  tracedTest("with every attempt of a retry, a timeout and a cancel in it, each with how it ended", async (server) => {
    const client = clientAt(server);
    const traces = { retry: newTrace(), dead: newTrace(), timeout: newTrace(), cancel: newTrace(), wait: newTrace() };
    const submit = async (job: JobInit, trace: NewTrace) => {
      const { receipts } = await client.submit({ jobs: [job] }, headersOf(trace));
      return idsOf(receipts)[0]!;
    };
    const soon = { base: { nanos: 1_000_000 }, maxBackoff: { nanos: 1_000_000 } };
    const ids = [
      await submit({ ...fails("not yet", { times: 2 }), retry: { maxAttempts: 3, ...soon } }, traces.retry),
      await submit(fails("no luck", { reason: "broken" }), traces.dead),
      await submit(
        {
          task: "sleep",
          input: json({ durationMs: 60_000 }),
          timeout: { nanos: 50_000_000 },
          retry: { maxAttempts: 1 },
        },
        traces.timeout,
      ),
    ];
    const gate = await openGate();
    const cancelled = await submit({ task: "gate", input: json({ port: gate.port }) }, traces.cancel);
    await gate.next(); // before it runs a cancel would end its wait
    const waiting = await submit(echo(1, later), traces.wait);
    await client.cancelJobs({ jobIds: [cancelled, waiting] });
    for (const id of [...ids, cancelled, waiting]) await whenFinal(client, id);
    await gate.close();

    return (spans) => {
      const attemptsOf = ({ traceId }: NewTrace) =>
        spans
          .filter((span) => span.traceId === traceId && span.name === "attempt")
          .sort((a, b) => Number(a.startedAt - b.startedAt));
      const retried = attemptsOf(traces.retry);
      assert.deepEqual(
        retried.map(({ isError, message, attributes }) => [attributes["millpond.attempt"], isError, message]),
        [
          [1, true, "not yet"],
          [2, true, "not yet"],
          [3, false, ""],
        ],
      );
      assert.deepEqual([...new Set(retried.map(({ parentId }) => parentId))], [jobSpanId(ids[0]!)]);
      assert.equal(
        spans.filter((span) => span.traceId === traces.retry.traceId && span.name === "queue wait").length,
        3,
      );

      const [dead] = attemptsOf(traces.dead);
      assert.deepEqual(
        [dead?.isError, dead?.attributes["error.type"], dead?.attributes["millpond.state"]],
        [true, "broken", "DEAD"],
      );
      assert.equal(dead?.attributes["millpond.dead_reason"], "permanent");
      const [event] = dead?.events ?? [];
      assert.deepEqual([event?.name, event?.attributes["exception.type"]], ["exception", "broken"]);
      assert.equal(event?.attributes["exception.message"], "no luck");

      const [late] = attemptsOf(traces.timeout);
      assert.deepEqual([late?.isError, late?.attributes["error.type"]], [true, "timed_out"]);
      assert.ok(late && msOf(late) >= 45, `${late && msOf(late)} ms`);
      const [stopped] = attemptsOf(traces.cancel);
      assert.deepEqual([stopped?.isError, stopped?.attributes["millpond.outcome"]], [false, "cancelled"]);
      assert.deepEqual(
        stopped?.events.map(({ name }) => name),
        ["cancelled"],
      );
      const { isError, events } = one(spans, "queue wait", traces.wait.traceId);
      assert.deepEqual([isError, ...events.map(({ name }) => name)], [false, "cancelled"]);
    };
  });

  test("250 jobs of one message have one submit, and 250 with contexts of their own have one each", async (t) => {
    const receiver = await openReceiver(t);
    const { start } = await makePlace(t);
    const server = await start([], { ...otlp(receiver) });
    const client = clientAt(server);
    const channel = newChannel();
    const [together, others] = [newTrace(), Array.from({ length: 250 }, newTrace)];
    const jobs = others.map((_, index) => echo(index, { channel }));
    const stream = exchange(clientAt(server, ways.grpc), { channel });
    stream.submit(1, jobs, traceparentOf(together));
    stream.submit(
      2,
      others.map((trace, index) => echo(index, { channel, traceContext: { traceparent: traceparentOf(trace) } })),
      traceparentOf(newTrace()),
    );
    await stream.results(500);
    stream.ack(500n);
    stream.end();
    await stream.rest();
    await client.listTasks({});
    assert.equal((await server.signal("SIGTERM")).code, 0);

    const { spans } = receiver;
    const submit = one(spans, "submit", together.traceId);
    assert.equal(submit.attributes["millpond.jobs.accepted"], 250);
    const published = spans.filter((span) => span.traceId === together.traceId && span.name === "echo publish");
    assert.equal(published.length, 250);
    assert.ok(published.every(({ parentId }) => parentId === submit.spanId));
    assert.equal(new Set(published.map(({ spanId }) => spanId)).size, 250);
    for (const { traceId, parentId } of others) {
      assert.deepEqual(treeOf(spans, traceId), whole);
      assert.equal(one(spans, "submit", traceId).parentId, parentId);
    }
    assert.equal(spans.length, 1 + 250 * 5 + 250 * 6);
  });

  tracedTest(
    "what is refused is an error of submit, and an event where others of the request are accepted",
    async (server) => {
      const client = clientAt(server);
      const [alone, beside] = [newTrace(), newTrace()];
      await assert.rejects(client.submit({ jobs: [{ task: "nonesuch" }] }, headersOf(alone)));
      const { receipts } = await client.submit(
        { jobs: [echo(1, later), { task: "nonesuch" }, { task: "none" }] },
        headersOf(beside),
      );
      assert.deepEqual(fates(receipts), ["accepted", "unknown_task", "unknown_task"]);

      return (spans) => {
        const refused = one(spans, "submit", alone.traceId);
        assert.deepEqual([refused.isError, refused.attributes["error.type"]], [true, "unknown_task"]);
        assert.equal(refused.attributes["rpc.status_code"], "NOT_FOUND");
        const partly = one(spans, "submit", beside.traceId);
        assert.deepEqual([partly.isError, partly.attributes["millpond.jobs.refused"]], [false, 2]);
        const [event] = partly.events;
        assert.deepEqual(
          [event?.name, event?.attributes["error.type"], event?.attributes["millpond.jobs"]],
          ["refused", "unknown_task", 2],
        );
      };
    },
  );

  tracedTest("by Connect as by gRPC, and one that is malformed is ignored and counted", async (server) => {
    const client = clientAt(server, ways.connectHttp1);
    const trace = newTrace();
    const headers = { traceparent: traceparentOf(trace), tracestate: "vendor=1", baggage: "user=ada" };
    const { result } = await client.run({ job: echo(1) }, { headers });
    await client.run({ job: echo(2) }, { headers: { traceparent: "00-nonsense" } });
    const metrics = await (await fetch(`http://${server.serving.http}/metrics`)).text();
    assert.match(metrics, /^millpond_trace_context_malformed_total(?:\{.*\})? 1$/m);

    return (spans) => {
      assert.deepEqual(treeOf(spans, trace.traceId), whole);
      const submit = one(spans, "submit", trace.traceId);
      const { "rpc.system.name": system, "rpc.method": method } = submit.attributes;
      assert.deepEqual([system, method], ["connectrpc", "millpond.v1.WorkerPoolService/Run"]);
      const attempt = one(spans, "attempt", trace.traceId);
      assert.deepEqual([attempt.tracestate, attempt.attributes["messaging.message.id"]], ["vendor=1", result?.jobId]);
    };
  });

  test("says when the jobs of a stream were read more slowly", async (t) => {
    const receiver = await openReceiver(t);
    const { start } = await makePlace(t);
    const server = await start(["--rate-per-second", "0.5", "--rate-burst", "1"], otlp(receiver));
    const trace = newTrace();
    const stream = exchange(clientAt(server, ways.grpc), { channel: newChannel() });
    stream.submit(1, [echo(1), echo(2)], traceparentOf(trace));
    stream.end();
    await stream.rest();
    assert.equal((await server.signal("SIGTERM")).code, 0);

    const [event] = one(receiver.spans, "submit", trace.traceId).events;
    assert.equal(event?.name, "throttled");
    assert.ok(Number(event?.attributes["millpond.wait_ms"]) > 20);
  });

  test("across a kill and a restart: the lost attempt is an error in it, and context and baggage are still there", async (t) => {
    const receiver = await openReceiver(t);
    const { folder, start } = await makePlace(t);
    const [trace, id, path] = [newTrace(), randomUUID(), join(folder, "go")];
    const first = await start([], otlp(receiver));
    const input = json({ path, afterMs: 1, signal: "SIGKILL", once: true });
    const job = { id, task: "kill", input, retry: { maxAttempts: 2 } };
    const traceContext = { traceparent: traceparentOf(trace), tracestate: "vendor=1", baggage: "user=ada" };
    await clientAt(first).submit({ jobs: [{ ...job, traceContext }] });
    await whenFinal(clientAt(first), id, ({ startedAt }) => startedAt !== undefined);
    writeFileSync(path, "");
    assert.ok(existsSync(path));
    await first.ended;
    const second = await start([], otlp(receiver));
    const { receipts } = await clientAt(second).submit({ jobs: [{ ...job, traceContext: { traceparent: "again" } }] });
    assert.deepEqual(fates(receipts), ["duplicate"]);
    const { result } = await whenFinal(clientAt(second), id);
    assert.equal((await second.signal("SIGTERM")).code, 0);

    assert.deepEqual(outputOf(result!), {
      traceparent: `00-${trace.traceId}-${attemptSpanId(id, 2)}-01`,
      ...{ tracestate: "vendor=1", baggage: "user=ada" },
    });
    const attempts = receiver.spans.filter(({ name, traceId }) => name === "attempt" && traceId === trace.traceId);
    const lost = attempts.find(({ spanId }) => spanId === attemptSpanId(id, 1));
    assert.deepEqual([attempts.length, lost?.isError, lost?.attributes["error.type"]], [2, true, "lost"]);
    assert.deepEqual([lost?.parentId, lost?.tracestate], [jobSpanId(id), "vendor=1"]);
  });

  tracedTest("a redrive is linked to the traces of its jobs, and the attempts after it say so", async (server) => {
    const client = clientAt(server);
    const [trace, redrive, id] = [newTrace(), newTrace(), randomUUID()];
    await client.submit({ jobs: [{ id, ...fails("no luck") }] }, headersOf(trace));
    await whenFinal(client, id);
    await client.redriveJobs({ jobIds: [id] }, headersOf(redrive));
    await whenFinal(client, id, ({ redrives, result }) => redrives === 1 && result !== undefined);

    return (spans) => {
      const span = one(spans, "redrive", redrive.traceId);
      assert.deepEqual([span.kind, span.parentId, span.attributes["millpond.jobs"]], ["server", redrive.parentId, 1]);
      assert.deepEqual(span.links, [{ traceId: trace.traceId, spanId: jobSpanId(id) }]);
      const attempts = spans.filter(({ name, traceId }) => name === "attempt" && traceId === trace.traceId);
      assert.deepEqual(
        attempts.map(({ attributes }) => attributes["millpond.redrives"]),
        [undefined, 1],
      );
      assert.equal(spans.filter(({ name, traceId }) => name === "fail publish" && traceId === trace.traceId).length, 1);
    };
  });
});
