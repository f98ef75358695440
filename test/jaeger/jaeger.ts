/** The real Jaeger: built by Go, started on free ports of loopback with its storage in memory, and asked for traces. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { until } from "../support/until.ts";
import { type ApiTrace, type JaegerSpan, toSpans } from "./spans.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));
const binary = fileURLToPath(new URL("../../node_modules/.cache/millpond/jaeger", import.meta.url));

export const withoutGo = spawnSync("go", ["version"]).error !== undefined && "go not installed";

/** Minutes for the first time, then Go's own cache has all of it. */
export function buildJaeger(): void {
  const args = ["build", "-o", binary, "github.com/jaegertracing/jaeger/cmd/jaeger"];
  const { status, stderr } = spawnSync("go", args, { cwd: folder, encoding: "utf8" });
  assert.equal(status, 0, `go ${args.join(" ")}\n${stderr}`);
}

export type Jaeger = {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT, by OTLP over gRPC and over HTTP. */
  readonly otlpGrpc: string;
  readonly otlpHttp: string;
  /** The spans of a trace that have come so far; none for one that it does not know. */
  trace(traceId: string): Promise<readonly JaegerSpan[]>;
  /** The same, once they are as they should be; after a minute as they are. */
  traceOnce(traceId: string, isWhole: (spans: readonly JaegerSpan[]) => boolean): Promise<readonly JaegerSpan[]>;
  services(): Promise<readonly string[]>;
  stop(): Promise<void>;
};

const maxStarts = 3;

/** Resolves when it answers. Another process may take a port before it does, and then it tries others. */
export async function startJaeger(starts = 1): Promise<Jaeger> {
  const [queryHttp = 0, queryGrpc, otlpGrpc, otlpHttp] = await freePorts(4);
  const child = spawn(binary, ["--config", join(folder, "jaeger.yaml")], {
    stdio: ["ignore", "ignore", "pipe"],
    env: {
      ...process.env,
      OTEL_TRACES_SAMPLER: "always_off", // its own spans
      JAEGER_QUERY_HTTP_PORT: String(queryHttp),
      JAEGER_QUERY_GRPC_PORT: String(queryGrpc),
      JAEGER_OTLP_GRPC_PORT: String(otlpGrpc),
      JAEGER_OTLP_HTTP_PORT: String(otlpHttp),
    },
  });
  const said = text(child.stderr);
  const ask = async (path: string) => fetch(`http://127.0.0.1:${queryHttp}/api/${path}`);
  const answers = async () => (await ask("services").catch(() => undefined))?.ok === true;
  await until(async () => child.exitCode !== null || (await answers()));
  if (child.exitCode !== null) {
    assert.ok(starts < maxStarts, await said);
    return startJaeger(starts + 1);
  }

  const trace = async (traceId: string) => {
    const response = await ask(`traces/${traceId}`);
    if (response.status === 404) return [];
    assert.equal(response.status, 200);
    return toSpans((await response.json()) as ApiTrace);
  };
  return {
    otlpGrpc: `http://127.0.0.1:${otlpGrpc}`,
    otlpHttp: `http://127.0.0.1:${otlpHttp}`,
    trace,
    traceOnce: async (traceId, isWhole) => {
      let spans: readonly JaegerSpan[] = [];
      await until(async () => isWhole((spans = await trace(traceId)))).catch(() => undefined);
      return spans;
    },
    services: async () =>
      ((await (await ask("services")).json()) as { readonly data: readonly string[] | null }).data ?? [],
    stop: () => stopped(child),
  };
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL"); // it has nothing to keep
  await exited;
}

/** Held at the same time, so that they differ. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}
