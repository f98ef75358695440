import { create } from "@bufbuild/protobuf";
import { AdminService, ListClientsRequestSchema } from "../../src/gen/millpond/v1/admin_pb.ts";
import type { Call } from "./call.ts";
import { type ClientSnapshot, toClientSnapshot } from "./stats.ts";

export type ListClientsOptions = {
  /** At most this many clients, 1 to 1000. Default: 100. */
  readonly limit?: number | undefined;
};

export type ListedClients = {
  /** The busiest first. */
  readonly clients: readonly ClientSnapshot[];
  /** How many clients the server has numbers of. */
  readonly known: number;
};

export async function listClients(call: Call, { limit = 0 }: ListClientsOptions = {}): Promise<ListedClients> {
  const { clients, known } = await call(AdminService.method.listClients, create(ListClientsRequestSchema, { limit }));
  return { clients: clients.map(toClientSnapshot), known };
}
