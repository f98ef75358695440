/** A real server in this process for each test that wants one, and clients that speak to it in every way there is. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { createRegistry, type DescService } from "@bufbuild/protobuf";
import { file_millpond_tasks_v1_diagnostic } from "../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import { file_millpond_tasks_v1_image } from "../../src/gen/millpond/tasks/v1/image_pb.ts";
import { WorkerPoolService } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { RunningServer } from "../../src/server.ts";

export type PoolClient = Client<typeof WorkerPoolService>;

/** One way to speak to a server: a protocol on one of its ports. */
export type Way = {
  readonly name: string;
  /** Whether both sides may send at the same time, as `Exchange` needs. */
  readonly isBidi: boolean;
  /** Whether requests are JSON, so that some wrong ones cannot even be written. */
  readonly isJson?: true;
  transport(server: Pick<RunningServer, "grpcAddress" | "httpAddress">): Transport;
};

export const ways = {
  grpc: {
    name: "gRPC",
    isBidi: true,
    transport: ({ grpcAddress }) => createGrpcTransport({ baseUrl: `http://${grpcAddress}` }),
  },
  connectHttp1: {
    name: "Connect over HTTP/1.1",
    isBidi: false,
    isJson: true,
    transport: ({ httpAddress }) =>
      createConnectTransport({
        ...{ baseUrl: `http://${httpAddress}`, httpVersion: "1.1", useBinaryFormat: false },
        jsonOptions: { registry: createRegistry(file_millpond_tasks_v1_diagnostic, file_millpond_tasks_v1_image) },
      }),
  },
  grpcWeb: {
    name: "gRPC-Web",
    isBidi: false,
    transport: ({ httpAddress }) => createGrpcWebTransport({ baseUrl: `http://${httpAddress}`, httpVersion: "1.1" }),
  },
} as const satisfies { readonly [name: string]: Way };

const moduleUrl = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);

type Files = { readonly [name: string]: string };

/** Tasks that do nothing, by the names of their files: more than an error names. */
export function idleTasks(): { readonly names: readonly string[]; readonly files: Files } {
  const names = Array.from({ length: 20 }, (_, index) => `idle-${String(index).padStart(2, "0")}`);
  const define = `import { defineTask } from ${moduleUrl("../../src/pool/task.ts")};`;
  const textOf = (name: string) => `${define} export default defineTask({ name: "${name}", pool: "cpu", run() {} });\n`;
  return { names, files: Object.fromEntries(names.map((name) => [`${name}.mjs`, textOf(name)])) };
}

/** A folder with everything a server of a test needs: `tasks`, with these files too, and `data`. */
export async function makeFolder(taskFiles: Files = {}): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "millpond-test-"));
  const tasks = join(path, "tasks");
  await mkdir(tasks);
  const files = ["gate", "blob"].map((name) => [name, `export { default } from ${moduleUrl(`./tasks/${name}.ts`)};`]);
  for (const [name, text] of files) await writeFile(join(tasks, `${name}.mjs`), `${text}\n`);
  for (const [name, text] of Object.entries(taskFiles)) await writeFile(join(tasks, name), text);
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** The same pools with all of their workers from the start, for tests of the workers themselves. */
export const startedPools = {
  cpu: { workers: 1 },
  io: { workers: 1 },
  held: { work: "io", concurrency: 1, workers: 2, maxQueued: 4 },
} as const;

/** The configuration of a test's server: small pools without workers before there are jobs (threads are most of what a start costs), free ports, no log. `given` is merged in, one section deep. */
export function settings(
  folder: string,
  given: { readonly [section: string]: unknown } = {},
): { readonly [key: string]: unknown } {
  const plain: { [section: string]: unknown } = {
    grpc: { port: 0 },
    http: { port: 0 },
    dataDir: join(folder, "data"),
    tasksDir: join(folder, "tasks"),
    pools: {
      cpu: { workers: { min: 0, max: 1 } },
      io: { workers: { min: 0, max: 1 } },
      held: { work: "io", concurrency: 1, workers: { min: 0, max: 2 }, maxQueued: 4 },
    },
    log: { level: "silent" },
  };
  const isSection = (value: unknown): value is object => typeof value === "object" && value !== null;
  for (const [key, value] of Object.entries(given)) {
    const present = plain[key];
    plain[key] = isSection(present) && isSection(value) ? { ...present, ...value } : value;
  }
  return plain;
}

export type TestServer = RunningServer & {
  readonly folder: string;
  /** A client of this name. */
  client(way: Way, name?: string): PoolClient;
  /** A client of another service. */
  clientOf<S extends DescService>(service: S, way: Way): Client<S>;
  /** Stops the server and removes its folder. */
  remove(): Promise<void>;
};

/** Starts a server of its own, on an embedded store in a temporary folder. */
export async function openServer(
  given?: { readonly [section: string]: unknown },
  taskFiles?: Files,
): Promise<TestServer> {
  // imported here, because tests whose servers are processes need only clients, and a server is most of what this loads
  const [{ parseConfig }, { startServer }] = await Promise.all([
    import("../../src/config.ts"),
    import("../../src/server.ts"),
  ]);
  const folder = await makeFolder(taskFiles);
  const text = JSON.stringify(settings(folder.path, given));
  const config = parseConfig({ file: { name: "test.yaml", text }, env: {}, flags: {}, cores: 2 });
  const server = await startServer(config, {});
  return {
    ...server,
    folder: folder.path,
    client: (way, name) => clientOf(server, way, name),
    clientOf: (service, way) => createClient(service, way.transport(server)),
    async remove() {
      await server.stop();
      await folder.remove();
    },
  };
}

/** A client of this name; without one it is `anonymous`. */
export function clientOf(
  server: Pick<RunningServer, "grpcAddress" | "httpAddress">,
  way: Way,
  name?: string,
): PoolClient {
  const transport = way.transport(server);
  const named: Transport = {
    unary: (method, signal, timeoutMs, header, ...rest) => {
      const call = () => transport.unary(method, signal, timeoutMs, withName(header, name), ...rest);
      return call().catch((error: unknown) => (wasRefusedByHttp2(error) ? call() : Promise.reject(error)));
    },
    stream: (method, signal, timeoutMs, header, ...rest) =>
      transport.stream(method, signal, timeoutMs, withName(header, name), ...rest),
  };
  return createClient(WorkerPoolService, named);
}

/**
 * A call that crosses the server's GOAWAY is refused by HTTP/2 before it began. Clients of gRPC make it again on the next
 * connection, all by themselves; this library's do not.
 */
function wasRefusedByHttp2(error: unknown): boolean {
  return error instanceof ConnectError && /\bNGHTTP2_REFUSED_STREAM\b/.test(String(error.cause));
}

function withName(header: ConstructorParameters<typeof Headers>[0], name: string | undefined): Headers {
  const headers = new Headers(header);
  if (name !== undefined && !headers.has("millpond-client")) headers.set("millpond-client", name);
  return headers;
}
