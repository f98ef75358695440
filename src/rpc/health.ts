/** `grpc.health.v1.Health`: whether services are served, for load balancers and probes. */
import { create } from "@bufbuild/protobuf";
import { once } from "node:events";
import { refusal } from "../errors.ts";
import {
  type Health as HealthService,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as Status,
  HealthCheckResponseSchema,
} from "../gen/grpc/health/v1/health_pb.ts";
import type { Implementation } from "./served.ts";

export type HealthParts = {
  /** Aborts when the server serves no more: it drains, or its store has failed. There is no way back. */
  readonly notServing: AbortSignal;
  /** Aborts when connections are about to be closed. */
  readonly closing: AbortSignal;
};

/** `names`: the services that may be asked for; the empty one stands for all of them. */
export function createHealth(
  { notServing, closing }: HealthParts,
  names: readonly string[],
): Implementation<typeof HealthService> {
  const isKnown = (service: string) => service === "" || names.includes(service);
  const status = () => (notServing.aborted ? Status.NOT_SERVING : Status.SERVING);

  return {
    async check({ service }) {
      if (!isKnown(service)) throw refusal("unknown_service", [service.slice(0, 100), names.join(", ")]);
      return answer(status());
    },

    async *watch({ service }, { signal }) {
      const ended = AbortSignal.any([signal, closing]);
      const changes = isKnown(service) && !notServing.aborted;
      yield answer(isKnown(service) ? status() : Status.SERVICE_UNKNOWN);
      if (changes) {
        await aborted(AbortSignal.any([ended, notServing]));
        if (!ended.aborted) yield answer(status());
      }
      await aborted(ended);
    },
  };
}

function answer(status: Status): HealthCheckResponse {
  return create(HealthCheckResponseSchema, { status });
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}
