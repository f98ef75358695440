import { messageOf, StartError } from "../errors.ts";

/** Flushes what is waiting to be exported and lets go of the exporter. */
export type StopTelemetry = () => Promise<void>;

/**
 * Starts the OpenTelemetry SDK when the standard variables ask for traces (`OTEL_EXPORTER_OTLP_ENDPOINT`,
 * `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or `OTEL_TRACES_EXPORTER` other than `none`). Null when they don't: then nothing is even loaded.
 * https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
 */
export async function startTelemetry(env: {
  readonly [name: string]: string | undefined;
}): Promise<StopTelemetry | null> {
  if (!asksForTraces(env)) return null;
  try {
    const { NodeSDK } = await import("@opentelemetry/sdk-node");
    const sdk = new NodeSDK({
      serviceName: env["OTEL_SERVICE_NAME"] ?? "millpond",
      instrumentations: [],
      metricReaders: [], // traces only: the SDK would otherwise export metrics and logs too
      logRecordProcessors: [],
    });
    sdk.start();
    return () => sdk.shutdown();
  } catch (error) {
    throw new StartError(`tracing could not be started, check the OTEL_ variables: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function asksForTraces(env: { readonly [name: string]: string | undefined }): boolean {
  if (env["OTEL_SDK_DISABLED"]?.toLowerCase() === "true") return false;
  const exporter = env["OTEL_TRACES_EXPORTER"];
  if (exporter) return exporter !== "none";
  return Boolean(env["OTEL_EXPORTER_OTLP_ENDPOINT"] || env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]);
}
