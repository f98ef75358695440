/** Shows each picture as one trace, when the environment says where traces go (`OTEL_EXPORTER_OTLP_ENDPOINT`). */
import { randomUUID } from "node:crypto";
import { resourceOf } from "../../src/telemetry/resource.ts";
import { readVariables, type Variables } from "../../src/telemetry/variables.ts";
import { version } from "../../src/version.ts";

export type DemoTracing = {
  /** Where to look for what. */
  readonly notice: string;
  /** Sends what has not been sent. */
  stop(): Promise<void>;
};

/** Registers an OpenTelemetry SDK, as any program does that has one; undefined: nobody asks for traces. */
export async function startTracing(env: Variables): Promise<DemoTracing | undefined> {
  const { traces } = readVariables(env);
  if (traces === null) return undefined;
  const { trace } = await import("@opentelemetry/api");
  const { resourceFromAttributes } = await import("@opentelemetry/resources");
  const { BatchSpanProcessor, TracerProvider } = await import("@opentelemetry/sdk-trace");
  const { openExporter } = await import("../../src/telemetry/export.ts");
  const reporter = resourceOf({ version, instance: randomUUID() });
  const exporters = await Promise.all(traces.exporters.map((name) => openExporter(name, traces)));
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ ...reporter, "service.name": "millpond-demo" }),
    spanProcessors: exporters.map((exporter) => new BatchSpanProcessor({ exporter })),
  });
  trace.setGlobalTracerProvider(provider);
  return {
    notice: "Each picture is one trace of the service millpond-demo; Jaeger shows them at http://127.0.0.1:16686",
    stop: () => provider.shutdown(),
  };
}
