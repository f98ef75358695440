/** The two front ends of the server, over the same services. */
import type { Clock } from "../clock.ts";
import type { Config } from "../config.ts";
import type { Readiness } from "../engine/upkeep/readiness.ts";
import type { Log } from "../log.ts";
import type { Registry } from "../metrics/registry.ts";
import type { Tasks } from "../pool/tasks.ts";
import { createCutLog } from "../rpc/cut-log.ts";
import { guardTimers } from "../rpc/boundary.ts";
import type { CutReason } from "../rpc/arrival/request-body.ts";
import { createRequestBudget } from "../rpc/arrival/request-budget.ts";
import { createConnectionLimits } from "../rpc/connection-limits.ts";
import { createConnectFrontEnd } from "../rpc/connect.ts";
import { countCalls } from "../rpc/count-calls.ts";
import type { FrontEnd } from "../rpc/front-end.ts";
import { createFrontPage } from "../rpc/front-page.ts";
import { createGrpcFrontEnd } from "../rpc/grpc.ts";
import { healthPages, metricsPage, type Page } from "../rpc/pages.ts";
import type { createService } from "../rpc/service.ts";
import type { TypeRegistry } from "../rpc/task-types.ts";
import { version } from "../version.ts";

export type FrontEndParts = {
  readonly config: Config;
  readonly services: ReturnType<typeof createService>;
  readonly tasks: () => Tasks;
  readonly types: TypeRegistry;
  readonly readiness: Pick<Readiness, "reasons" | "paused">;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
};

export type FrontEnds = { readonly grpc: FrontEnd; readonly http: FrontEnd };

/** How long connections may take to close once everything is sent. */
const closeMs = 2_000;
/** A dead connection is cut after half a minute at most. */
const keepalive = { keepaliveMs: 20_000, keepaliveTimeoutMs: 10_000 };

/** Log messages for requests that were cut off. */
const cutTexts: { readonly [R in CutReason]: string } = {
  stalled: "requests that made no progress within slowSenderMs were cut off",
  fragmented: "requests that arrived in too many tiny pieces were cut off",
  crowded_out:
    "requests on the connections that held the most memory were cut off, because limits.requestMiB was exceeded",
};

export function createFrontEnds({
  config,
  tasks,
  types,
  readiness,
  registry,
  log,
  random,
  ...parts
}: FrontEndParts): FrontEnds {
  const clock = guardTimers(parts.clock, log);
  const services = countCalls(parts.services, registry);
  const limits = {
    ...config.limits,
    slowReaderMs: config.slowReaderMs,
    slowSenderMs: config.slowSenderMs,
    closeMs,
    ...keepalive,
  };
  const cuts = createCutLog(clock, log);
  const budget = createRequestBudget({
    bytes: config.limits.requestMiB * 2 ** 20,
    stallMs: config.slowSenderMs,
    ...{ clock, log },
    onCut(reason) {
      cuts.add(cutTexts[reason]);
      registry.counter("millpond.request.cut", { reason }).value += 1;
    },
  });
  const connections = createConnectionLimits({
    ...config.limits,
    onRefused(limit) {
      cuts.add(`connections were closed, because limits.${limit} is reached`);
      registry.counter("millpond.connection.refused", { limit }).value += 1;
    },
  });
  registry.observed((observe) => {
    observe("millpond.connection.open", connections.open());
    observe("millpond.connection.limit", config.limits.connections);
    observe("millpond.request.held", budget.heldBytes());
    observe("millpond.request.limit", config.limits.requestMiB * 2 ** 20);
  });
  const common = { limits, budget, connections, types, clock, log, random };
  const pages = new Map<string, Page>(healthPages(readiness));
  pages.set("/metrics", metricsPage(registry));
  const grpcAddress = () => grpc.address();
  pages.set("/", createFrontPage({ version, services, tasks, pages, grpcAddress }));
  const http = createConnectFrontEnd(services, {
    ...{ ...config.http, ...common, pages, grpcAddress },
    onHttp2: () => cuts.add(`connections to the HTTP port used HTTP/2: native gRPC is on ${grpcAddress()}`),
  });
  const grpc: FrontEnd = createGrpcFrontEnd(services, { ...config.grpc, ...common, webAddress: http.address });
  return { grpc, http };
}
