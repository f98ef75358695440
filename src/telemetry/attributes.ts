/**
 * The attributes of spans, under the names of OpenTelemetry's conventions where there are any; docs/tracing.md lists them all.
 * https://opentelemetry.io/docs/specs/semconv/registry/attributes/
 */
import type { Caller } from "../tracing.ts";
import type { Attributes } from "./span.ts";

type Job = { readonly id: string; readonly client: string; readonly pool: string; readonly task: string };

const system = { "messaging.system.name": "millpond" };

export function attributesOfJob(job: Job): Attributes {
  return {
    ...system,
    "messaging.destination.name": job.pool,
    "messaging.message.id": job.id,
    "messaging.client.id": job.client,
    "millpond.task": job.task,
  };
}

/** `name`: the server's name for the operation. `type`: one of the values that the conventions define. */
export function attributesOfOperation(
  name: string,
  type: "send" | "receive" | "process" | "settle" | "deliver",
): Attributes {
  return { "messaging.operation.name": name, "messaging.operation.type": type };
}

export function attributesOfCall({ client, rpcSystem }: Caller, method: string): Attributes {
  return {
    ...system,
    "messaging.client.id": client,
    "rpc.system.name": rpcSystem,
    "rpc.method": `millpond.v1.WorkerPoolService/${method}`,
  };
}
