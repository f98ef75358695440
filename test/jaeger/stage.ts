/** Jaeger, a Millpond server that reports all of its spans to it, and a program with a client that reports its own. */
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { connect, type MillpondClient } from "../../clients/typescript/index.ts";
import { startMillpond, type TestServer } from "../cli/server.ts";
import { type Jaeger, startJaeger } from "./jaeger.ts";
import { type Program, startProgram } from "./program.ts";

const tasks = fileURLToPath(new URL("tasks/", import.meta.url));
const picture = new URL("../demo/pictures/cat.jpg", import.meta.url);

export type Stage = {
  readonly jaeger: Jaeger;
  readonly program: Program;
  readonly server: TestServer;
  readonly client: MillpondClient;
  /** Ends the server as a crash does, and starts the next one on its store. */
  killAndRestart(): Promise<void>;
  stop(): Promise<void>;
};

/** Jaeger must have been built. */
export async function openStage(): Promise<Stage> {
  const jaeger = await startJaeger();
  const program = startProgram(jaeger.otlpHttp);
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: jaeger.otlpGrpc,
    OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
    OTEL_TRACES_SAMPLER: "always_on",
    OTEL_METRICS_EXPORTER: "none",
    OTEL_BSP_SCHEDULE_DELAY: "50",
  };
  const open = (...args: string[]) => startMillpond(["--log-level", "warn", "--tasks-dir", tasks, ...args], { env });
  const servers = [await open()];
  const clientOf = (server: TestServer) => connect({ address: server.serving.grpc, client: "shop" });
  let server = servers[0] as TestServer;
  let client = clientOf(server);
  return {
    jaeger,
    program,
    get server() {
      return server;
    },
    get client() {
      return client;
    },
    killAndRestart: async () => {
      await server.signal("SIGKILL");
      await client.close();
      server = await open("--data-dir", server.folder);
      servers.push(server);
      client = clientOf(server);
    },
    stop: async () => {
      await client.close();
      await program.stop();
      for (const each of servers.toReversed()) await each.dispose();
      await jaeger.stop();
    },
  };
}

export type PictureServer = {
  readonly url: string;
  /** Of each request. */
  readonly headers: readonly IncomingHttpHeaders[];
  stop(): Promise<void>;
};

/** Serves a picture, but answers the first requests with "busy". */
export async function startPictureServer(busyTimes: number): Promise<PictureServer> {
  const bytes = await readFile(picture);
  const headers: IncomingHttpHeaders[] = [];
  const server: Server = createServer((request, response) => {
    headers.push(request.headers);
    if (headers.length <= busyTimes) response.writeHead(503).end();
    else response.end(bytes);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/cat.jpg`,
    headers,
    stop: async () => {
      server.closeAllConnections();
      await once(server.close(), "close");
    },
  };
}
