/** What `npm run demo` shows in Jaeger, with a collector in this process. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { connect, fail, imageResize } from "../../clients/typescript/index.ts";
import { makePlace } from "../server/place.ts";
import { openReceiver, type Span, treeOf } from "../telemetry/receiver.ts";
import { startTracing } from "./tracing.ts";

const picture = (name: string) => readFile(new URL(`./pictures/${name}.jpg`, import.meta.url));

/** The parts of an attempt stand in an order that differs; what stands under what does not. */
const ofPicture = [
  "image.resize job",
  "  submit",
  "    image.resize publish",
  "      queue wait",
  "      attempt",
  "        inspect",
  "        resize",
  "          decode",
  "          encode",
  "      settle",
  "      deliver",
].toSorted();

const within = (inner: Span, outer: Span) => inner.startedAt >= outer.startedAt && inner.endedAt <= outer.endedAt;

test("each picture is one trace, from the client's span to the steps of the task; so is a job that is retried", async (t) => {
  const receiver = await openReceiver(t);
  const variables = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_METRICS_EXPORTER: "none" };
  Object.assign(process.env, variables); // the exporters read them by themselves
  const tracing = await startTracing(variables);
  const { start } = await makePlace(t);
  const server = await start([], variables);
  const client = connect({ address: server.serving.grpc, client: "demo" });
  const pictures = await Promise.all(["cat", "coffee", "rocket"].map(picture));
  const inputs = pictures.map((value) => ({ source: { case: "bytes" as const, value }, width: 100 }));
  await Array.fromAsync(client.map(imageResize, inputs));
  await client.run(fail, { times: 2, message: "not yet" });
  await client.close();
  await tracing?.stop();
  assert.equal((await server.signal("SIGTERM")).code, 0);

  const tracesOf = (name: string) => receiver.spans.filter((span) => span.name === name).map(({ traceId }) => traceId);
  const traces = tracesOf("image.resize job");
  assert.equal(new Set(traces).size, 3);
  for (const trace of traces) assert.deepEqual(treeOf(receiver.spans, trace).toSorted(), ofPicture);
  const [first] = traces;
  const spanOf = (name: string) => receiver.spans.find((span) => span.traceId === first && span.name === name)!;
  for (const name of ["inspect", "resize", "encode"]) assert.ok(within(spanOf(name), spanOf("attempt")), name);
  assert.deepEqual(
    ["image.resize job", "attempt"].map((name) => spanOf(name).resource["service.name"]),
    ["millpond-demo", "millpond"],
  );

  const [retried] = tracesOf("fail job");
  const attempts = receiver.spans.filter(({ traceId, name }) => traceId === retried && name === "attempt");
  assert.deepEqual(
    attempts.toSorted((a, b) => Number(a.startedAt - b.startedAt)).map(({ isError, message }) => [isError, message]),
    [
      [true, "not yet"],
      [true, "not yet"],
      [false, ""],
    ],
  );
});

test("without the variables no SDK is registered", async () => {
  assert.equal(await startTracing({}), undefined);
});
