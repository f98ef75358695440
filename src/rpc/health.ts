/** `grpc.health.v1.Health`: whether services are served, for load balancers and probes. */
import { create } from "@bufbuild/protobuf";
import { once } from "node:events";
import type { PoolWatch } from "../engine/pool-watch.ts";
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
  /** While a pool is broken those services are not served that need all of them. */
  readonly poolWatch: Pick<PoolWatch, "broken" | "changed">;
};

/** The services that may be asked for: full names, and whether one needs the pools. */
export type HealthNames = ReadonlyMap<string, { readonly needsPools: boolean }>;

export function createHealth(
  { notServing, closing, poolWatch }: HealthParts,
  names: HealthNames,
): Implementation<typeof HealthService> {
  /** Undefined: there is no such service. The empty name stands for all of them. */
  function statusOf(service: string): Status | undefined {
    const known = service === "" ? { needsPools: true } : names.get(service);
    if (!known) return undefined;
    const isServing = !notServing.aborted && !(known.needsPools && poolWatch.broken().length > 0);
    return isServing ? Status.SERVING : Status.NOT_SERVING;
  }

  return {
    async check({ service }) {
      const status = statusOf(service);
      if (status === undefined) {
        throw refusal("unknown_service", [service.slice(0, 100), [...names.keys()].join(", ")]);
      }
      return answer(status);
    },

    async *watch({ service }, { signal }) {
      const ended = AbortSignal.any([signal, closing]);
      const settled = AbortSignal.any([ended, notServing]); // nothing changes after that
      let last: Status | undefined;
      while (!ended.aborted) {
        // asked for first, so that no change is missed while the answer is on its way
        const changed = settled.aborted ? aborted(ended) : poolWatch.changed(settled);
        const status = statusOf(service) ?? Status.SERVICE_UNKNOWN;
        if (status !== last) yield answer((last = status));
        await changed;
      }
    },
  };
}

function answer(status: Status): HealthCheckResponse {
  return create(HealthCheckResponseSchema, { status });
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}
