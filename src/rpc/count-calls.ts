/** Counts calls by method and status. Wraps the functions of every service, so that both ports count alike. */
import { Code, MillpondError } from "../errors.ts";
import type { Counter, Registry } from "../metrics/registry.ts";
import type { CallContext } from "./call.ts";
import type { AnyStream, AnyUnary, Served } from "./served.ts";

type Meter = { begin(): void; end(status: string): void };

export function countCalls(services: readonly Served[], registry: Registry): readonly Served[] {
  return services.map(({ service, functions }) => ({
    service,
    functions: Object.fromEntries(
      service.methods.map(({ name, localName, methodKind }) => {
        const meter = createMeter(registry, `${service.typeName}/${name}`);
        const call = functions[localName];
        return [localName, methodKind === "unary" ? unary(call as AnyUnary, meter) : stream(call as AnyStream, meter)];
      }),
    ),
  }));
}

function createMeter(registry: Registry, method: string): Meter {
  const of = { "rpc.method": method };
  const endsWith = (status: string) =>
    registry.counter("millpond.rpc.calls", { ...of, "rpc.response.status_code": status });
  // these series start at 0: `rate()` misses the first event of a series that starts at 1, and a single INTERNAL
  // deserves an alert
  const ends = new Map<string, Counter>(["OK", "INTERNAL"].map((status) => [status, endsWith(status)]));
  let open = 0;
  registry.observed((observe) => observe("millpond.rpc.open_calls", open, of));
  return {
    begin() {
      open += 1;
    },
    end(status) {
      open -= 1;
      let counter = ends.get(status);
      if (!counter) ends.set(status, (counter = endsWith(status)));
      counter.value += 1;
    },
  };
}

function unary(call: AnyUnary, meter: Meter): AnyUnary {
  return async (request, context) => {
    meter.begin();
    let status = "OK";
    try {
      return await call(request, context);
    } catch (error) {
      status = statusOf(error, context);
      throw error;
    } finally {
      meter.end(status);
    }
  };
}

/** Passes responses through, at the cost of one more promise each; a reader that stops early counts as cancelled. */
function stream(call: AnyStream, meter: Meter): AnyStream {
  return (request, context) => ({
    [Symbol.asyncIterator]() {
      const responses = call(request, context)[Symbol.asyncIterator]();
      let isOpen = true;
      meter.begin();
      const end = (status: string) => {
        if (isOpen) meter.end(status);
        isOpen = false;
      };
      return {
        async next() {
          try {
            const next = await responses.next();
            if (next.done) end(context.signal.aborted ? "CANCELLED" : "OK");
            return next;
          } catch (error) {
            end(statusOf(error, context));
            throw error;
          }
        },
        async return(value: unknown) {
          end("CANCELLED");
          await responses.return?.(value);
          return { done: true, value };
        },
      };
    },
  });
}

const statusNames = new Map<number, string>(
  Object.entries(Code).map(([name, code]) => [code, name.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase()]),
);

/** The gRPC status name of an error: INTERNAL if it is not a MillpondError. */
function statusOf(error: unknown, { signal }: CallContext): string {
  if (error instanceof MillpondError) return statusNames.get(error.code) ?? String(error.code);
  return signal.aborted ? "CANCELLED" : "INTERNAL";
}
