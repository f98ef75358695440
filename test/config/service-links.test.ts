/** A namespace of Kubernetes with a Service named `millpond`, or `millpond-...`, is a place where Millpond starts. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { serviceLinksIn } from "../../src/config/service-links.ts";
import { parseConfig } from "../../src/config.ts";
import { run } from "../cli/run.ts";
import { startMillpond } from "../cli/server.ts";

/** What Kubernetes sets for Services named `millpond`, `millpond-grpc` and `millpond-http`. */
const links = {
  MILLPOND_SERVICE_HOST: "10.96.14.3",
  MILLPOND_SERVICE_PORT: "7717",
  MILLPOND_SERVICE_PORT_GRPC: "7717",
  MILLPOND_PORT: "tcp://10.96.14.3:7717",
  MILLPOND_PORT_7717_TCP: "tcp://10.96.14.3:7717",
  MILLPOND_PORT_7717_TCP_PROTO: "tcp",
  MILLPOND_PORT_7717_TCP_PORT: "7717",
  MILLPOND_PORT_7717_TCP_ADDR: "10.96.14.3",
  MILLPOND_GRPC_SERVICE_HOST: "fd00::3",
  MILLPOND_GRPC_SERVICE_PORT: "7717",
  MILLPOND_GRPC_PORT: "tcp://[fd00::3]:7717",
  MILLPOND_GRPC_PORT_7717_UDP: "udp://[fd00::3]:7717",
  MILLPOND_HTTP_PORT: "tcp://10.96.14.4:7718",
};

const parse = (env: Record<string, string>, file: string | null = null) =>
  parseConfig({ file: file === null ? null : { name: "f.yaml", text: file }, env, flags: {}, cores: 2 });

suite("service links of Kubernetes", () => {
  test("are no settings, and a setting of the same name comes from the file or its default", () => {
    assert.deepEqual(parse(links), parse({}));
    assert.equal(parse(links, "grpc: {port: 9000}").grpc.port, 9000);
    assert.deepEqual(serviceLinksIn({ ...links, HOME: "/", MILLPOND_STORE: "memory" }), Object.keys(links).sort());
  });

  test("leave a true setting beside them in force", () => {
    assert.equal(parse({ ...links, MILLPOND_GRPC_PORT: "9001" }).grpc.port, 9001);
  });

  for (const [name, value] of [
    ["MILLPOND_GRPC_PROT", "1"],
    ["MILLPOND_GRPC_PORT", "http://10.96.14.3:7717"],
    ["MILLPOND_GRPC_PORT", "seven"],
    ["MILLPOND_SERVICE_HOST", "yes"],
    ["MILLPOND_SERVICE_NAME", "millpond"],
    ["MILLPOND_PORT", "7717"],
  ] as const) {
    test(`do not hide a mistake: ${name}=${value} is refused`, () => {
      assert.throws(() => parse({ ...links, [name]: value }), new RegExp(`\\n {2}${name} is`));
    });
  }

  test("stop neither the server, which logs them in one line, nor its health check nor a command", async (t) => {
    const server = await startMillpond(["--store", "memory"], { env: links });
    t.after(() => server.dispose());
    const [, port] = server.serving.http.split(":") as [string, string];

    assert.equal((await run(["health", "--http-port", port], { env: links })).stdout, "SERVING\n");
    assert.equal((await server.as("a", ["submit", "echo", "--wait"], { env: links })).code, 0);
    const { code, stderr } = await server.signal("SIGTERM");
    assert.equal(code, 0);
    const lines = stderr.split("\n").filter((line) => line.includes("MILLPOND_"));
    assert.equal(lines.length, 1);
    const { level, variables } = JSON.parse(lines[0]!) as { level: number; variables: string[] };
    assert.deepEqual([level, variables], [30, Object.keys(links).sort()]);
  });
});
