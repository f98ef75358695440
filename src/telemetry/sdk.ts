import { messageOf, StartError } from "../errors.ts";
import { readVariables, type Variables } from "./variables.ts";

/** Flushes what is waiting to be exported and lets go of the exporter. */
export type StopTelemetry = () => Promise<void>;

/** Starts the OpenTelemetry SDK when the standard variables ask for traces. Null when they don't: then nothing is even loaded. */
export async function startTelemetry(env: Variables): Promise<StopTelemetry | null> {
  const { traces, resource } = readVariables(env);
  if (!traces) return null;
  try {
    const { NodeSDK } = await import("@opentelemetry/sdk-node");
    const sdk = new NodeSDK({
      serviceName: resource["service.name"] ?? "millpond",
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
