import type { Clock } from "../clock.ts";
import { messageOf, StartError } from "../errors.ts";
import { createContexts } from "../job/trace-context.ts";
import type { Log } from "../log.ts";
import { createUntraced, type Tracing } from "../tracing.ts";
import { createJobSpans } from "./job-spans.ts";
import { createRequestSpans } from "./request-spans.ts";
import { type Reporter, resourceOf } from "./resource.ts";
import { createBoundedSampler, createStandardSampler } from "./sampling.ts";
import type { TelemetrySettings } from "./variables.ts";

export type TracingParts = Reporter & {
  /** Bound on jobs traced per second, of those whose callers send no context. */
  readonly jobsPerSecond: number;
  readonly clock: Clock;
  readonly log: Log;
};

/** `stop` exports the queued spans and closes the exporters. */
export type OpenTracing = { readonly tracing: Tracing; stop(): Promise<void> };

/** Starts tracing if the standard variables ask for it; otherwise no OpenTelemetry package is loaded. */
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
      ...createJobSpans(sink, clock),
      numbers: () => ({ ...sink.numbers(), droppedContexts: contexts.dropped() }),
    };
    return { tracing, stop: sink.stop };
  } catch (error) {
    throw new StartError(`tracing cannot be started, check the OTEL_ variables: ${messageOf(error)}`, { cause: error });
  }
}
