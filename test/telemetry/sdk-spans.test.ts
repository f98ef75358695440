import assert from "node:assert/strict";
import { test } from "node:test";
import { NodeSDK } from "@opentelemetry/sdk-node";
import { createTracing } from "../../src/telemetry/instruments.ts";

type Exported = {
  readonly name: string;
  readonly startTime: readonly [seconds: number, nanos: number];
  readonly endTime: readonly [seconds: number, nanos: number];
  readonly attributes: { readonly [key: string]: unknown };
  readonly parentSpanContext?: { readonly spanId: string };
  spanContext(): { readonly spanId: string; readonly traceId: string };
};

test("the real SDK makes of a job one trace, with times from before the process began as they are", async () => {
  const exported: Exported[] = [];
  const sdk = new NodeSDK({
    instrumentations: [],
    metricReaders: [],
    logRecordProcessors: [],
    autoDetectResources: false,
    traceExporter: {
      export(spans: readonly unknown[], done: (result: { code: 0 }) => void) {
        exported.push(...(spans as Exported[]));
        done({ code: 0 });
      },
      shutdown: async () => undefined,
    },
  });
  sdk.start();
  const tracing = createTracing();
  const submit = tracing.submit(`00-${"b".repeat(32)}-${"c".repeat(16)}-01`, "ada");
  submit.end({ accepted: 1, refused: 0 });
  submit.end({ error: "too late" });
  tracing.attempt({
    ...{
      trace: submit.trace,
      jobId: "job",
      client: "ada",
      task: "echo",
      pool: "cpu",
      attempt: 1,
      outcome: "succeeded",
    },
    dueAt: 1_600_000_000_000,
    startedAt: 1_600_000_000_250,
    finishedAt: 1_600_000_000_500,
  });
  await sdk.shutdown();

  assert.deepEqual(
    exported.map(({ name }) => name),
    ["submit", "queue wait", "attempt"],
  );
  const [root, wait, run] = exported;
  assert.ok(root && wait && run);
  assert.equal(root.parentSpanContext?.spanId, "c".repeat(16));
  for (const span of [wait, run]) {
    assert.equal(span.parentSpanContext?.spanId, root.spanContext().spanId);
    assert.equal(span.spanContext().traceId, "b".repeat(32));
  }
  assert.deepEqual(
    [wait.startTime, wait.endTime],
    [
      [1_600_000_000, 0],
      [1_600_000_000, 250_000_000],
    ],
  );
  assert.deepEqual(
    [run.startTime, run.endTime],
    [
      [1_600_000_000, 250_000_000],
      [1_600_000_000, 500_000_000],
    ],
  );
  assert.equal(run.attributes["millpond.outcome"], "succeeded");
  assert.equal("millpond.outcome" in wait.attributes, false);
});
