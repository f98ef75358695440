import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { StartError } from "../../src/errors.ts";
import { readVariables, type Variables } from "../../src/telemetry/variables.ts";

const mistakesIn = (env: Variables): string => {
  try {
    readVariables(env);
  } catch (error) {
    assert.ok(error instanceof StartError);
    assert.equal(error.exitCode, 2);
    return error.message;
  }
  return "";
};
const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318" };

suite("the standard variables", () => {
  test("that are not there, or empty, ask for nothing", () => {
    for (const env of [{}, { OTEL_EXPORTER_OTLP_ENDPOINT: "", OTEL_TRACES_EXPORTER: " ", OTEL_SERVICE_NAME: "" }]) {
      const { traces, metrics, resource, propagates } = readVariables(env);
      assert.deepEqual([traces, metrics], [null, null]);
      assert.deepEqual(resource, { "service.name": "millpond" });
      assert.deepEqual(propagates, { trace: true, baggage: true });
    }
  });

  test("ask for traces and metrics with an endpoint for all, and for one with an endpoint of its own", () => {
    const both = readVariables(endpoint);
    assert.deepEqual([both.traces?.exporters, both.metrics?.exporters], [["otlp"], ["otlp"]]);
    const traces = readVariables({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://127.0.0.1:4318/v1/traces" });
    assert.deepEqual([traces.traces?.exporters, traces.metrics], [["otlp"], null]);
    const metrics = readVariables({ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://127.0.0.1:4318/v1/metrics" });
    assert.deepEqual([metrics.traces, metrics.metrics?.exporters], [null, ["otlp"]]);
  });

  test("name exporters, several too, and `none` in spite of an endpoint", () => {
    const { traces, metrics } = readVariables({
      ...endpoint,
      OTEL_TRACES_EXPORTER: "console, OTLP",
      OTEL_METRICS_EXPORTER: "none",
    });
    assert.deepEqual([traces?.exporters, metrics], [["otlp", "console"], null]);
    assert.deepEqual(readVariables({ OTEL_TRACES_EXPORTER: "otlp" }).traces?.exporters, ["otlp"]);
    assert.equal(readVariables({ ...endpoint, OTEL_METRICS_EXPORTER: "prometheus" }).metrics, null);
  });

  test("turn everything off with OTEL_SDK_DISABLED, whatever the others say", () => {
    const env = { ...endpoint, OTEL_SDK_DISABLED: "TRUE", OTEL_TRACES_EXPORTER: "zipkin" };
    const { traces, metrics } = readVariables(env);
    assert.deepEqual([traces, metrics], [null, null]);
  });

  test("of one signal go before those of all", () => {
    const { traces, metrics } = readVariables({
      ...endpoint,
      OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
      OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/json",
    });
    assert.deepEqual([traces?.protocol, metrics?.protocol], ["http/json", "grpc"]);
    assert.equal(readVariables(endpoint).traces?.protocol, "http/protobuf");
  });

  test("name a sampler, with its argument", () => {
    assert.equal(readVariables(endpoint).traces?.sampler, null);
    const sampler = (name: string, arg?: string) =>
      readVariables({ ...endpoint, OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: arg }).traces?.sampler;
    assert.deepEqual(sampler("parentbased_always_off"), { name: "parentbased_always_off", ratio: 1 });
    assert.deepEqual(sampler("parentbased_traceidratio", "0.25"), { name: "parentbased_traceidratio", ratio: 0.25 });
    assert.deepEqual(sampler("traceidratio"), { name: "traceidratio", ratio: 1 });
  });

  test("export no traces with the sampler `always_off`, and the spans of tasks are not recorded", () => {
    const settings = readVariables({ ...endpoint, OTEL_TRACES_SAMPLER: "always_off" });
    assert.equal(settings.traces, null);
    assert.notEqual(settings.metrics, null);
  });

  test("describe the resource; the service's own variable goes before the list", () => {
    const { resource } = readVariables({
      OTEL_RESOURCE_ATTRIBUTES: "service.name=listed,deployment.environment.name=a%20b, k8s.pod.name = p1",
      OTEL_SERVICE_NAME: "mill",
    });
    const rest = { "deployment.environment.name": "a b", "k8s.pod.name": "p1" };
    assert.deepEqual(resource, { "service.name": "mill", ...rest });
  });

  test("name what carries the caller's context; what is not spoken here is passed over", () => {
    assert.deepEqual(readVariables({ OTEL_PROPAGATORS: "tracecontext,b3multi" }).propagates, {
      trace: true,
      baggage: false,
    });
    assert.deepEqual(readVariables({ OTEL_PROPAGATORS: "none" }).propagates, { trace: false, baggage: false });
    assert.deepEqual(readVariables({ OTEL_PROPAGATORS: "Baggage, xray" }).propagates, { trace: false, baggage: true });
  });

  test("are refused where a collector has no name for TLS", () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "127.0.0.1:4317", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" };
    assert.throws(() => readVariables(env), /use a URL such as http:\/\/127\.0\.0\.1:4317/);
  });

  test("name the collector without what is secret in its address", () => {
    const collectorOf = (more: object) => readVariables({ OTEL_TRACES_EXPORTER: "otlp", ...more }).traces?.collector;
    const [own, all] = [
      { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "collector:4317" },
      { OTEL_EXPORTER_OTLP_ENDPOINT: "http://ada:pw@mill:4318/key" },
    ];
    assert.equal(collectorOf(all), "http://mill:4318");
    assert.equal(collectorOf({ ...all, ...own, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }), "collector:4317");
    assert.equal(collectorOf({}), null);
  });

  test("bound the batches, which are never larger than the queue", () => {
    const { traces } = readVariables({ ...endpoint, OTEL_BSP_MAX_QUEUE_SIZE: "100", OTEL_BSP_SCHEDULE_DELAY: "200" });
    assert.deepEqual([traces?.maxQueued, traces?.maxBatch, traces?.batchDelayMs], [100, 100, 200]);
  });
});

suite("refused at the start, with the variable, the value and what is possible, is", () => {
  const refused: readonly (readonly [what: string, env: Variables, message: RegExp])[] = [
    [
      "an unknown exporter",
      { OTEL_TRACES_EXPORTER: "zipkin" },
      /OTEL_TRACES_EXPORTER is "zipkin": use otlp, console or none/,
    ],
    [
      "one in a list",
      { OTEL_METRICS_EXPORTER: "otlp,statsd" },
      /OTEL_METRICS_EXPORTER is "statsd": use otlp, console, /,
    ],
    ["`none` beside another", { OTEL_TRACES_EXPORTER: "otlp,none" }, /OTEL_TRACES_EXPORTER is "otlp,none"/],
    [
      "an unknown propagator",
      { OTEL_PROPAGATORS: "tracecontex,baggage" },
      /OTEL_PROPAGATORS is "tracecontex": use tracecontext, baggage or none/,
    ],
    [
      "a list without a propagator that is spoken here",
      { OTEL_PROPAGATORS: "b3,jaeger" },
      /OTEL_PROPAGATORS is "b3,jaeger": /,
    ],
    [
      "an unknown protocol",
      { ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "http" },
      /OTEL_EXPORTER_OTLP_PROTOCOL is "http": use grpc, http\/protobuf or http\/json/,
    ],
    [
      "one of a single signal",
      { OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "thrift" },
      /OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is "thrift"/,
    ],
    [
      "an unknown sampler",
      { OTEL_TRACES_SAMPLER: "jaeger_remote" },
      /OTEL_TRACES_SAMPLER is "jaeger_remote": use always_on, /,
    ],
    [
      "a ratio above 1",
      { OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "20" },
      /OTEL_TRACES_SAMPLER_ARG is "20": use a number from 0 to 1/,
    ],
    [
      "an endpoint that is no URL",
      { OTEL_EXPORTER_OTLP_ENDPOINT: "collector" },
      /OTEL_EXPORTER_OTLP_ENDPOINT is "collector": use a URL such as http:\/\/127\.0\.0\.1:4318/,
    ],
    ["an unknown compression", { ...endpoint, OTEL_EXPORTER_OTLP_COMPRESSION: "zstd" }, /COMPRESSION is "zstd"/],
    ["a timeout that is no number", { ...endpoint, OTEL_EXPORTER_OTLP_TIMEOUT: "10s" }, /TIMEOUT is "10s"/],
    [
      "deltas, which this server does not count in",
      { ...endpoint, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: "delta" },
      /TEMPORALITY_PREFERENCE is "delta": use cumulative/,
    ],
    ["a resource that is no list", { OTEL_RESOURCE_ATTRIBUTES: "a=1,b" }, /OTEL_RESOURCE_ATTRIBUTES is "a=1,b"/],
  ];
  for (const [what, env, message] of refused) test(what, () => assert.match(mistakesIn(env), message));

  test("every mistake, each once, and no header with its secret", () => {
    const message = mistakesIn({
      ...endpoint,
      OTEL_EXPORTER_OTLP_PROTOCOL: "udp",
      OTEL_EXPORTER_OTLP_HEADERS: "secret-token",
    });
    assert.equal(message.split("\n").length, 3);
    assert.match(message, /OTEL_EXPORTER_OTLP_HEADERS is not shown here: use name=value/);
    assert.doesNotMatch(message, /secret-token/);
  });

  test("not deltas where no metrics are pushed", () => {
    const preference = { OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: "delta" };
    assert.equal(readVariables({ ...endpoint, OTEL_METRICS_EXPORTER: "none", ...preference }).metrics, null);
  });

  test("not a host with a port, which gRPC takes as it is", () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4317", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" };
    assert.equal(readVariables(env).traces?.protocol, "grpc");
  });

  test("an endpoint, without the secrets in it", () => {
    const rows: readonly (readonly [given: string, shown: string])[] = [
      ["htps://user:s3cret@collector/v1", "htps://***@collector/v1"],
      ["user:s3c/r@et@collector:4318", "***@collector:4318"],
      ["htps://user:s3c/r@et@collector?key=s3c", "htps://***@collector?***"],
      ["htps://collector?to=a@b", "htps://collector?***"],
    ];
    for (const [given, shown] of rows) {
      assert.ok(mistakesIn({ OTEL_EXPORTER_OTLP_ENDPOINT: given }).includes(`_ENDPOINT is "${shown}": `), given);
    }
  });
});
