import { hostname, networkInterfaces } from "node:os";
import type { Clock } from "../clock.ts";
import { messageOf, StartError } from "../errors.ts";
import { createContexts } from "../job/trace-context.ts";
import type { Log } from "../log.ts";
import { createUntraced, type Tracing } from "../tracing.ts";
import { createJobSpans } from "./job-spans.ts";
import { createRequestSpans } from "./request-spans.ts";
import { createBoundedSampler, createStandardSampler } from "./sampling.ts";
import type { TelemetrySettings } from "./variables.ts";

export type TracingParts = {
  /** Jobs traced per second, of those whose callers send no context. */
  readonly jobsPerSecond: number;
  /** Of this server. */
  readonly version: string;
  /** This server process: unique for each start. */
  readonly instance: string;
  readonly clock: Clock;
  readonly log: Log;
};

/** `stop` hands over what waits to be exported, and lets go of the exporters. */
export type OpenTracing = { readonly tracing: Tracing; stop(): Promise<void> };

/** Traces where the standard variables ask for it; otherwise nothing of OpenTelemetry is even loaded. */
export async function openTracing(settings: TelemetrySettings, parts: TracingParts): Promise<OpenTracing> {
  const contexts = createContexts(settings.propagates);
  if (!settings.traces) return { tracing: createUntraced(contexts), stop: async () => {} };
  const { clock, log } = parts;
  const { openExport, createRatio } = await import("./export.ts");
  const { logDiagnostics } = await import("./diagnostics.ts");
  logDiagnostics({ clock, log });
  const resource = { ...resourceOf(parts), ...settings.resource };
  try {
    const sink = await openExport({ settings: settings.traces, resource, version: parts.version, clock, log });
    const { sampler: standard } = settings.traces;
    const sampler = standard
      ? createStandardSampler(standard.name, createRatio(standard.ratio))
      : createBoundedSampler(parts.jobsPerSecond, clock);
    const tracing = {
      ...createRequestSpans({ sink, sampler, contexts, clock }),
      ...createJobSpans(sink, clock, sampler.keepsFailures),
      numbers: () => ({ ...sink.numbers(), droppedContexts: contexts.dropped() }),
    };
    return { tracing, stop: sink.stop };
  } catch (error) {
    throw new StartError(`tracing cannot be started, check the OTEL_ variables: ${messageOf(error)}`, { cause: error });
  }
}

function resourceOf({ version, instance }: TracingParts) {
  return {
    "service.version": version,
    "service.instance.id": instance,
    "host.name": hostname(),
    // The name under which Jaeger looks for the host. Spans without one it takes for those of a host whose clock is wrong,
    // and moves what goes on after its parent's end, as attempts do, into the parent's time.
    ip: addressOfHost(),
    "process.pid": process.pid,
    "telemetry.sdk.language": "nodejs",
    "telemetry.sdk.name": "opentelemetry",
  };
}

/** The first address that other machines may know; that of loopback where there is no network. */
function addressOfHost(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return addresses.find(({ internal }) => !internal)?.address ?? "127.0.0.1";
}
