/** `grpc.health.v1.Health`, for load balancers and probes. */
import { create } from "@bufbuild/protobuf";
import { type NotReadyReason, notReadyReasons, type Readiness } from "../engine/upkeep/readiness.ts";
import { refusal } from "../errors.ts";
import {
  type Health as HealthService,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as Status,
  HealthCheckResponseSchema,
  HealthListResponseSchema,
} from "../gen/grpc/health/v1/health_pb.ts";
import type { ResourceHost } from "../pool/resources/host.ts";
import type { Implementation } from "./served.ts";

export type HealthParts = {
  readonly readiness: Pick<Readiness, "reasons" | "changed">;
  /** Each resource, and each known part of it, is a health service of its own. */
  readonly resources: Pick<ResourceHost, "parts">;
  /** Aborts when connections are about to be closed. */
  readonly closing: AbortSignal;
};

/** Health services besides the server as a whole (the empty name), and the reasons that make each NOT_SERVING. */
export type HealthNames = ReadonlyMap<string, readonly NotReadyReason[]>;

/** Prefix of a resource's name: `millpond.resource/billing`, or `millpond.resource/billing.eu` for a part of it. */
const resourcePrefix = "millpond.resource/";

/** Reasons for services that accept jobs. */
export const takesJobs: readonly NotReadyReason[] = notReadyReasons;
/** Reasons for services that accept no jobs, and that operators need to repair a pool or to free disk space. */
export const takesNoJobs: readonly NotReadyReason[] = ["store_failed", "draining"];
/** Reasons for `liveness`: a restart only repairs a failed store, and then the server ends by itself. */
const alive: readonly NotReadyReason[] = ["store_failed"];

export function createHealth(
  { readiness, resources, closing }: HealthParts,
  services: HealthNames,
): Implementation<typeof HealthService> {
  const names: HealthNames = new Map([
    ["", takesJobs],
    ["liveness", alive], // the names of the two probes in the Kubernetes documentation
    ["readiness", takesJobs],
    ...services,
  ]);

  /** Undefined: there is no such service. */
  function statusOf(service: string): Status | undefined {
    const causes = names.get(service);
    if (!causes) return statusOfResource(service);
    const isServing = readiness.reasons().every(({ reason }) => !causes.includes(reason));
    return isServing ? Status.SERVING : Status.NOT_SERVING;
  }

  function statusOfResource(service: string): Status | undefined {
    if (!service.startsWith(resourcePrefix)) return undefined;
    const name = service.slice(resourcePrefix.length);
    // a resource is healthy when all its parts are
    const meant = resources.parts().filter(({ resource, part }) => resource === name || `${resource}.${part}` === name);
    if (meant.length === 0) return undefined;
    return meant.every(({ problem }) => problem === undefined) ? Status.SERVING : Status.NOT_SERVING;
  }

  const allNames = () => [
    ...names.keys(),
    ...resources.parts().map(({ resource, part }) => resourcePrefix + (part === "" ? resource : `${resource}.${part}`)),
  ];

  return {
    async check({ service }) {
      const status = statusOf(service);
      if (status === undefined) {
        const known = allNames().filter((name) => name !== "");
        throw refusal("unknown_service", [service.slice(0, 100), known.join(", ")]);
      }
      return answer(status);
    },

    async list() {
      const all = allNames().map((name) => [name, answer(statusOf(name) ?? Status.UNKNOWN)] as const);
      return create(HealthListResponseSchema, { statuses: Object.fromEntries(all) });
    },

    async *watch({ service }, { signal }) {
      const ended = AbortSignal.any([signal, closing]);
      let last: Status | undefined;
      while (!ended.aborted) {
        // subscribes before answering, so that no change is missed meanwhile
        const changed = readiness.changed(ended);
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
