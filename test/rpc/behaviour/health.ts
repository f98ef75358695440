/** `grpc.health.v1.Health`, as load balancers and probes ask for it, on every front end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HealthCheckResponse_ServingStatus as Status, Health } from "../../../src/gen/grpc/health/v1/health_pb.ts";
import type { TestServer, Way } from "../fixtures.ts";
import { refused } from "../refused.ts";

export function healthCases(way: Way, server: () => TestServer): void {
  const health = () => server().clientOf(Health, way);
  const services = [
    "",
    "millpond.v1.WorkerPoolService",
    "millpond.v1.AdminService",
    "grpc.health.v1.Health",
    "liveness",
    "readiness",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
  ];

  test("the server as a whole and each of its services is SERVING", async () => {
    for (const service of services) assert.equal((await health().check({ service })).status, Status.SERVING, service);
  });

  test("a service that does not exist is NOT_FOUND to check, and SERVICE_UNKNOWN to watch", async () => {
    const error = await refused(health().check({ service: "millpond.v2.WorkerPoolService" }));
    assert.deepEqual([error.code, error.reason], ["NotFound", "unknown_service"]);
    assert.equal(await first("millpond.v2.WorkerPoolService"), Status.SERVICE_UNKNOWN);
  });

  test("a watch says it at once", async () => {
    for (const service of services) assert.equal(await first(service), Status.SERVING);
  });

  /** What a watch says first; then it is hung up. */
  async function first(service: string): Promise<Status | undefined> {
    const hangUp = new AbortController();
    try {
      for await (const { status } of health().watch({ service }, { signal: hangUp.signal })) return status;
    } finally {
      hangUp.abort();
    }
    return undefined;
  }
}
