import type { TestContext } from "node:test";
import { createHttpServer } from "../../src/rpc/http.ts";
import { keptLog } from "./samples.ts";

/** The address of a port such as Millpond's HTTP port, for clients that speak HTTP/2 to it. */
export async function startHttpPort(t: TestContext): Promise<string> {
  const server = createHttpServer((_request, response) => void response.end(), {
    ...{ host: "127.0.0.1", port: 0, connections: { admit: () => true } },
    ...{ headBytes: 16_384, headMs: 60_000, maxUnanswered: 100, log: keptLog().log },
    http2Advice: () => "gRPC is next door",
    onHttp2: () => undefined,
  });
  await server.listen();
  t.after(async () => {
    const closed = server.close();
    server.destroy();
    await closed;
  });
  return server.address();
}
