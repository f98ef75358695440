/**
 * The real Jaeger has what happened to each job as one trace. Slow, as it builds Jaeger: `npm test` leaves it out and
 * .ci/run has it as a step. Without Go it is skipped by name.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { job, sleep } from "../../clients/typescript/index.ts";
import { until } from "../support/until.ts";
import { buildJaeger, withoutGo } from "./jaeger.ts";
import { serviceName } from "./program.ts";
import { inTree, type JaegerSpan } from "./spans.ts";
import { openStage, type Stage, startPictureServer } from "./stage.ts";

/** A span and its kind; failed ones have their error's type behind it. Children are indented by two. */
function treeOf(spans: readonly JaegerSpan[]): string[] {
  return inTree(spans).map(({ span, depth }) => {
    const error = span.isError ? ` !${String(span.tags["error.type"] ?? "error")}` : "";
    return `${"  ".repeat(depth)}${span.name} (${span.kind})${error}`;
  });
}

/** The tree of one job below the program's own span and the client's. */
const jobTree = (task: string, attempts: readonly string[], error = "", isDelivered = true) => [
  "test (internal)",
  `  ${task} job (client)${error}`,
  "    submit (server)",
  `      ${task} publish (producer)`,
  ...attempts.map((line) => `        ${line}`),
  ...(isDelivered ? ["        deliver (internal)"] : []),
];
const attemptOf = (error = "", inside: readonly string[] = []) => [
  "queue wait (internal)",
  `attempt (consumer)${error}`,
  ...inside.map((line) => `  ${line}`),
  "settle (internal)",
];

const named = (spans: readonly JaegerSpan[], name: string) => spans.filter((span) => span.name === name);
const sum = (spans: readonly JaegerSpan[]) => spans.reduce((total, { tookMs }) => total + tookMs, 0);

suite("Jaeger has", { skip: withoutGo }, () => {
  let stage: Stage;
  before(async () => {
    buildJaeger();
    stage = await openStage();
  });
  after(() => stage?.stop());

  /** Runs code in a span named `test`; the trace's id and what the code gave. */
  const traced = async <T>(code: () => Promise<T>) => {
    const run = await stage.program.traced("test", code);
    await stage.program.flush();
    return run;
  };
  /** The spans of a trace, once their tree is this one; fails with the difference when it does not become so. */
  const expectTree = async (traceId: string, tree: readonly string[]) => {
    const wanted = tree.toSorted().join("\n");
    const spans = await stage.jaeger.traceOnce(traceId, (found) => treeOf(found).toSorted().join("\n") === wanted);
    assert.deepEqual(treeOf(spans), tree);
    // Jaeger may take the client's clock for wrong, but not that of one server against itself
    const shifts = new Set(
      spans.filter(({ service }) => service === "millpond").map(({ warnings }) => warnings.join()),
    );
    assert.equal(shifts.size, 1, [...shifts].join("; "));
    return spans;
  };

  test("a job that succeeds as one trace from the client to the delivery, with the spans of its task", async (t) => {
    const pictures = await startPictureServer(0);
    t.after(() => pictures.stop());
    const { traceId, value } = await traced(() => stage.client.run("thumbnail", { url: pictures.url, width: 64 }));
    const steps = [
      "download (internal)",
      "resize (internal)",
      ...["decode", "scale", "encode"].map((s) => `  ${s} (internal)`),
    ];
    const spans = await expectTree(traceId, jobTree("thumbnail", attemptOf("", steps)));

    for (const span of spans) {
      assert.equal(span.service, /^test$| job$/.test(span.name) ? serviceName : "millpond", span.name);
      const isOfJob = ["submit", "thumbnail publish", "queue wait", "attempt", "settle", "deliver"].includes(span.name);
      if (isOfJob) assert.equal(span.tags["messaging.system.name"] ?? span.tags["messaging.system"], "millpond");
    }
    const [attempt] = named(spans, "attempt");
    assert.equal(attempt?.tags["messaging.message.id"], value.jobId);
    assert.equal(attempt?.tags["millpond.outcome"], "succeeded");
    const [download] = named(spans, "download");
    assert.equal(pictures.headers[0]?.traceparent, `00-${traceId}-${download?.id}-01`, "ctx.trace was handed on");
    assert.deepEqual((await stage.jaeger.services()).toSorted(), ["millpond", serviceName]);
  });

  test("a job that is tried again with all its attempts, each with the error that it ended with", async (t) => {
    const pictures = await startPictureServer(2);
    t.after(() => pictures.stop());
    const { traceId, value } = await traced(() => stage.client.run("thumbnail", { url: pictures.url, width: 64 }));
    assert.equal(value.state, "SUCCEEDED");
    const steps = [
      "download (internal)",
      "resize (internal)",
      ...["decode", "scale", "encode"].map((s) => `  ${s} (internal)`),
    ];
    const busy = attemptOf(" !picture_server_busy", ["download (internal) !error"]);
    const spans = await expectTree(traceId, jobTree("thumbnail", [...busy, ...busy, ...attemptOf("", steps)]));

    const attempts = named(spans, "attempt");
    assert.deepEqual(
      attempts.map(({ tags }) => [tags["millpond.attempt"], tags["millpond.outcome"], tags["millpond.state"]]),
      [
        [1, "failed", "QUEUED"],
        [2, "failed", "QUEUED"],
        [3, "succeeded", "SUCCEEDED"],
      ],
    );
    for (const { message, events } of attempts.slice(0, 2)) {
      assert.match(message ?? "", /answers with 503/);
      assert.equal(events.find(({ name }) => name === "exception")?.tags["exception.type"], "picture_server_busy");
    }
  });

  for (const [what, input, retry, attempts, deadReason] of [
    ["dies at once, as its error is permanent,", { reason: "nope" }, {}, 1, "permanent"],
    [
      "dies when its attempts are used up",
      { reason: "nope", retryable: true },
      { maxAttempts: 2, baseMs: 20, jitter: "none" },
      2,
      "exhausted",
    ],
  ] as const) {
    test(`a job that ${what} with why`, async () => {
      const { traceId } = await traced(() => stage.client.run("fail", input, { retry }));
      const tries = Array.from({ length: attempts }, () => attemptOf(" !nope")).flat();
      const spans = await expectTree(traceId, jobTree("fail", tries, " !nope"));
      const last = named(spans, "attempt").at(-1)?.tags;
      assert.deepEqual([last?.["millpond.state"], last?.["millpond.dead_reason"]], ["DEAD", deadReason]);
    });
  }

  test("a job whose time is over, as an error", async () => {
    const { traceId } = await traced(() =>
      stage.client.run(sleep, { durationMs: 3_600_000 }, { timeoutMs: 50, retry: { maxAttempts: 1 } }),
    );
    const spans = await expectTree(traceId, jobTree("sleep", attemptOf(" !timed_out"), " !timed_out"));
    const [attempt] = named(spans, "attempt");
    assert.equal(attempt?.tags["millpond.outcome"], "timed_out");
    assert.ok(attempt.tookMs >= 50, `${attempt.tookMs} ms`);
  });

  test("a job that is cancelled while it runs, with an event and no error", async () => {
    const path = join(stage.server.folder, "never");
    const { traceId, value: id } = await traced(() => stage.client.submit("stuck", { path }));
    await until(() => existsSync(`${path}.begun`));
    await stage.client.cancel([id]);
    const spans = await expectTree(traceId, jobTree("stuck", attemptOf(), "", false));
    const [attempt] = named(spans, "attempt");
    assert.equal(attempt?.tags["millpond.outcome"], "cancelled");
    assert.ok(attempt.events.some(({ name }) => name === "cancelled"));
  });

  test("a job that is redriven in its own trace, and the redrive linked to it", async () => {
    const failing = { reason: "nope", retryable: true };
    const { traceId, value } = await traced(() => stage.client.run("fail", failing, { retry: { maxAttempts: 1 } }));
    await expectTree(traceId, jobTree("fail", attemptOf(" !nope"), " !nope"));
    const { traceparent, traceId: redriveId } = newTraceparent();
    const response = await fetch(`http://${stage.server.serving.http}/millpond.v1.WorkerPoolService/RedriveJobs`, {
      method: "POST",
      headers: { "content-type": "application/json", "millpond-client": "shop", traceparent },
      body: JSON.stringify({ jobIds: [value.jobId] }),
    });
    assert.equal(response.status, 200, await response.text());

    const again = [...attemptOf(" !nope"), "deliver (internal)", ...attemptOf(" !nope")];
    const spans = await expectTree(traceId, jobTree("fail", again, " !nope", false));
    assert.equal(named(spans, "attempt")[1]?.tags["millpond.redrives"], 1);
    const [redrive] = await stage.jaeger.traceOnce(redriveId, (found) => found.length > 0);
    const [published] = named(spans, "fail publish");
    assert.equal(redrive?.name, "redrive");
    assert.deepEqual(redrive.links, [{ traceId, spanId: published?.id }]);
  });

  test("a job that was killed with its server in one trace, with the attempt that was lost", async () => {
    const path = join(stage.server.folder, "let-go");
    const { traceId, value: id } = await traced(() => stage.client.submit("stuck", { path }, { channel: "stuck" }));
    await until(() => existsSync(`${path}.begun`));
    // what the server has not handed over dies with it
    await stage.jaeger.traceOnce(traceId, (found) => named(found, "stuck publish").length === 1);
    await stage.killAndRestart();
    await writeFile(path, "");
    for await (const result of stage.client.results({ channel: "stuck" })) {
      assert.deepEqual([result.jobId, result.state, result.attempts], [id, "SUCCEEDED", 2]);
      break;
    }
    const spans = await expectTree(
      traceId,
      jobTree("stuck", ["attempt (consumer) !lost", "settle (internal)", ...attemptOf()]),
    );
    assert.equal(named(spans, "attempt")[0]?.tags["millpond.outcome"], "lost");
  });

  test("each of 250 jobs of one message, in the trace of a caller that sent nothing but a traceparent", async () => {
    const { traceparent, traceId, parentId } = newTraceparent();
    const jobs = Array.from({ length: 250 }, () => ({ task: "echo", input: { json: 1 } }));
    const response = await fetch(`http://${stage.server.serving.http}/millpond.v1.WorkerPoolService/Submit`, {
      method: "POST",
      headers: { "content-type": "application/json", "millpond-client": "plain", traceparent },
      body: JSON.stringify({ jobs }),
    });
    assert.equal(response.status, 200, await response.text());
    const spans = await stage.jaeger.traceOnce(traceId, (found) => named(found, "settle").length === 250);

    const [submit, ...others] = named(spans, "submit");
    assert.deepEqual([others, submit?.parentId, submit?.tags["millpond.jobs.accepted"]], [[], parentId, 250]);
    const published = named(spans, "echo publish");
    assert.deepEqual(
      [published.length, new Set(published.map(({ tags }) => tags["messaging.message.id"])).size],
      [250, 250],
    );
    for (const { id, parentId: above } of published) {
      assert.equal(above, submit?.id);
      const below = spans.filter(({ parentId: over }) => over === id).map(({ name }) => name);
      assert.deepEqual(below, ["queue wait", "attempt", "settle"]);
    }
  });

  test("a trace for each of 250 jobs that have contexts of their own", async () => {
    const made = Array.from({ length: 250 }, (_, value) => job("echo", value));
    const { traceId, value: receipts } = await traced(() => stage.client.submitAll(made));
    assert.ok(receipts.every(({ refusal }) => refusal === undefined));
    const spans = await stage.jaeger.traceOnce(traceId, (found) => named(found, "settle").length === 250);
    for (const name of ["echo job", "submit", "echo publish", "queue wait", "attempt", "settle"]) {
      assert.equal(named(spans, name).length, 250, name);
    }
    const parents = new Set(named(spans, "submit").map(({ parentId }) => parentId));
    assert.deepEqual(parents, new Set(named(spans, "echo job").map(({ id }) => id)));
  });

  test("times that agree with each other and with what the client saw, within 5 ms where the machine did nothing else", async (t) => {
    const fromResult: number[] = [];
    const inNoSpan: number[] = [];
    for (let count = 0; count < 41; count++) {
      const { traceId, value } = await traced(() => stage.client.run(sleep, { durationMs: 10 }));
      const spans = await expectTree(traceId, jobTree("sleep", attemptOf()));
      const waitAndRun = spans.filter(({ name }) => ["queue wait", "attempt"].includes(name));
      const outcome = spans.filter(({ name }) => ["settle", "deliver"].includes(name));
      const reportedMs = (value.queueWaitMs ?? NaN) + (value.executionMs ?? NaN);
      fromResult.push(Math.abs(sum(waitAndRun) - reportedMs));
      const [client] = named(spans, "sleep job");
      inNoSpan.push((client?.tookMs ?? NaN) - sum(waitAndRun) - sum(outcome));
    }
    // what else the machine does makes differences larger, and never smaller: so the smaller ones are what counts
    const nth = (differences: readonly number[], at: number) => differences.toSorted((x, y) => x - y)[at] ?? NaN;
    const quarterOf = (differences: readonly number[]) => nth(differences, 10);
    const figures = `from the result ${quarterOf(fromResult).toFixed(2)} ms, in no span ${quarterOf(inNoSpan).toFixed(2)} ms`;
    t.diagnostic(figures);
    assert.ok(quarterOf(fromResult) <= 5 && quarterOf(inNoSpan) <= 5, figures);
    for (const differences of [fromResult, inNoSpan]) {
      const most = nth(differences, 30);
      assert.ok(most <= 250, `three quarters are within ${most} ms`);
    }
    assert.ok(Math.min(...inNoSpan) >= 0, "the client's span holds all of it");
  });
});

/** What a caller without any SDK sends. */
function newTraceparent() {
  const [traceId, parentId] = [randomBytes(16).toString("hex"), randomBytes(8).toString("hex")];
  return { traceparent: `00-${traceId}-${parentId}-01`, traceId, parentId };
}
