/** A program that has registered an OpenTelemetry SDK, as a user's has, and reports to Jaeger as the service `shop`. */
import { AsyncLocalStorage } from "node:async_hooks";
import { type Context, context, propagation, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

export const serviceName = "shop";

export type Program = {
  /** Runs code within a span of this name that begins a trace; resolves with what the code gave and the trace's id. */
  traced<T>(name: string, code: () => Promise<T>): Promise<{ readonly traceId: string; readonly value: T }>;
  /** Hands over all spans that have ended. */
  flush(): Promise<void>;
  stop(): Promise<void>;
};

/** Registers it in this process, for which it may be called once. `url`: of a collector that speaks OTLP over HTTP. */
export function startProgram(url: string): Program {
  const storage = new AsyncLocalStorage<Context>();
  context.setGlobalContextManager({
    active: () => storage.getStore() ?? ROOT_CONTEXT,
    with: (active, code, self, ...args) => storage.run(active, () => code.apply(self, args)),
    bind: (_, target) => target,
    enable: () => undefined as never,
    disable: () => undefined as never,
  });
  const exporter = new OTLPTraceExporter({ url: `${url}/v1/traces` });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ "service.name": serviceName }),
    spanProcessors: [new BatchSpanProcessor({ exporter, scheduledDelayMillis: 50 })],
  });
  trace.setGlobalTracerProvider(provider);
  const tracer = trace.getTracer(serviceName);
  return {
    traced: (name, code) =>
      tracer.startActiveSpan(name, async (span) => {
        try {
          return { traceId: span.spanContext().traceId, value: await code() };
        } finally {
          span.end();
        }
      }),
    flush: () => provider.forceFlush(),
    stop: async () => {
      await provider.shutdown();
      trace.disable();
      context.disable();
      propagation.disable();
    },
  };
}
