/** Connects a command to a server: the flags with its address, and the error when it does not answer. */
import type { ConnectOptions, MillpondClient } from "../../clients/typescript/index.ts";
import { type Flag, type Invocation, flagText, UsageError } from "./command.ts";

const defaultAddress = "127.0.0.1:7717";
/** Few, because a person who types a command prefers an early error. */
const retries = 2;

/** The flags of every command that calls a server. */
export const clientFlags: readonly Flag[] = [
  { usage: "--address <host:port>", doc: `the server's gRPC port (or MILLPOND_ADDRESS; default: ${defaultAddress})` },
  {
    usage: "--client <name>",
    doc: "your client name; a client sees only its own jobs (or MILLPOND_CLIENT; default: anonymous)",
  },
];

/** Fetches descriptors of the message types among these inputs and outputs; call it before printing them. */
export type LearnTypes = (values: readonly unknown[]) => Promise<void>;

/** Runs an action with a client and closes it afterwards. Errors of the client contain the remedy. */
export async function withClient<T>(
  { flags, env }: Invocation,
  action: (client: MillpondClient, learn: LearnTypes) => Promise<T>,
  options: Pick<ConnectOptions, "reconnectMs"> = {},
): Promise<T> {
  const address = flagText(flags, "--address") ?? (env.MILLPOND_ADDRESS || defaultAddress);
  if (!/^[^\s/]+:\d{1,5}$/.test(address)) {
    throw new UsageError(`--address is "${address}": must be a host and a port, such as ${defaultAddress}`);
  }
  const name = flagText(flags, "--client") ?? (env.MILLPOND_CLIENT || undefined);
  if (name !== undefined && !/^[A-Za-z0-9._@-]{1,100}$/.test(name)) {
    throw new UsageError(`--client is "${name}": must be 1 to 100 characters of [A-Za-z0-9._@-]`);
  }
  const { connect, createConnection, MillpondClientError } = await import("../../clients/typescript/index.ts");
  const client = connect({ address, client: name, retries, ...options });
  const learn: LearnTypes = async (values) => {
    if (!values.some(isUnknown)) return;
    const { learnTypes } = await import("./print/learned-types.ts");
    await learnTypes(values, () => createConnection({ address, client: name, keepaliveMs: 0 }));
  };
  try {
    return await action(client, learn);
  } catch (error) {
    if (!(error instanceof MillpondClientError) || error.reason !== "unreachable") throw error;
    const advice = 'start one with "millpond serve", or name another with --address';
    throw new Error(`no server answers at ${address}: ${advice}`, { cause: error });
  } finally {
    await client.close();
  }
}

/** Whether a value is a message of a type that the client does not know. */
function isUnknown(value: unknown): boolean {
  return (value as { readonly $typeName?: string } | null | undefined)?.$typeName === "google.protobuf.Any";
}
