/**
 * The HTTP front end: Connect, gRPC-Web and gRPC over HTTP/1.1 and HTTP/2 on one port, for curl, browsers and proxies,
 * and /healthz. The only file that knows connect-node.
 */
import { createServer as createHttp1Server, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2Server, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import { ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { createRegistry, type DescMessage, type Message } from "@bufbuild/protobuf";
import type { Clock } from "../clock.ts";
import { type MillpondError, messageOf, StartError } from "../errors.ts";
import { WorkerPoolService } from "../gen/millpond/v1/worker_pool_pb.ts";
import type { Log } from "../log.ts";
import { type CallContext, checkMetadata, clientKey, parseClient, parseTrace } from "./call.ts";
import type { FrontEnd, FrontEndLimits } from "./front-end.ts";
import { createDualServer } from "./http.ts";
import type { Service } from "./service.ts";
import { detailsOf, toMillpondError, trailersOf } from "./status.ts";

export type ConnectOptions = {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly limits: FrontEndLimits;
  /** Types of tasks' inputs and outputs, so that they can be read and shown as JSON. */
  readonly types: readonly DescMessage[];
  /** What /healthz says: 200 when true, 503 when not. */
  readonly isServing: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
};

/** Deadlines of callers are cut to this: one day. */
const maxTimeoutMs = 24 * 60 * 60 * 1000;

export function createConnectFrontEnd(service: Service, options: ConnectOptions): FrontEnd {
  const { host, limits, clock } = options;
  const serveRpc = connectNodeAdapter({
    routes: (router) => addRoutes(router, service, options),
    readMaxBytes: limits.messageBytes,
    writeMaxBytes: limits.messageBytes,
    maxTimeoutMs,
    acceptCompression: [],
    jsonOptions: { registry: createRegistry(...options.types) },
  });
  // HTTP/2 requests and responses are used through what they share with those of HTTP/1.1
  const serve = (request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse) => {
    if (request.url === "/healthz") answerHealth(response as ServerResponse, options.isServing());
    else serveRpc(request, response);
  };
  // twice what is allowed: what is a little over gets an answer of ours, and only what is far over is cut by Node
  const headerBytes = 2 * limits.metadataBytes;
  const server = createDualServer(
    createHttp1Server({ maxHeaderSize: headerBytes }, serve),
    createHttp2Server(
      {
        maxSessionMemory: limits.sessionMemoryMiB,
        settings: { maxConcurrentStreams: limits.streams, maxHeaderListSize: headerBytes },
      },
      serve,
    ),
  );
  let port = options.port;
  const address = () => `${host.includes(":") ? `[${host}]` : host}:${port}`;

  return {
    name: "HTTP",
    address,
    async start() {
      try {
        port = await server.listen(host, port);
      } catch (error) {
        throw new StartError(
          `HTTP cannot listen on ${address()}: ${messageOf(error)}: is another server running? Choose another with --http-port`,
          { cause: error },
        );
      }
    },
    async stop() {
      const cancel = clock.after(limits.closeMs, () => server.destroy());
      await server.close();
      cancel();
    },
  };
}

function answerHealth(response: ServerResponse, isServing: boolean): void {
  const text = JSON.stringify({ status: isServing ? "SERVING" : "NOT_SERVING" });
  response.writeHead(isServing ? 200 : 503, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(`${text}\n`);
}

function addRoutes(router: ConnectRouter, service: Service, options: ConnectOptions): void {
  type AnyUnary = (request: Message, call: CallContext) => Promise<Message>;
  type AnyStream = (request: unknown, call: CallContext) => AsyncIterable<Message>;
  for (const method of WorkerPoolService.methods) {
    const implement = service[method.localName as keyof Service] as unknown;
    if (method.methodKind === "unary") {
      const call = async (request: Message, context: HandlerContext) => {
        try {
          return await (implement as AnyUnary)(request, contextOf(context, options));
        } catch (error) {
          throw connectError(toMillpondError(error, options.log));
        }
      };
      router.rpc(method as never, call as never);
    } else {
      const stream = async function* (request: unknown, context: HandlerContext): AsyncGenerator<Message> {
        try {
          yield* (implement as AnyStream)(request, contextOf(context, options));
        } catch (error) {
          if (context.signal.aborted || error instanceof ConnectError) throw error;
          throw connectError(toMillpondError(error, options.log));
        }
      };
      router.rpc(method as never, stream as never);
    }
  }
}

function contextOf({ requestHeader, signal }: HandlerContext, { limits }: ConnectOptions): CallContext {
  checkMetadata(requestHeader.entries(), limits.metadataBytes);
  return {
    client: parseClient(requestHeader.get(clientKey)),
    trace: parseTrace(requestHeader.get("traceparent")),
    signal,
  };
}

function connectError(error: MillpondError): ConnectError {
  const details = detailsOf(error).map(({ desc, value }) => ({ desc, value: value as never }));
  return new ConnectError(
    error.message,
    error.code,
    new Headers(trailersOf(error).map(([key, value]) => [key, value])),
    details,
  );
}
