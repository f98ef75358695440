/**
 * HTTP/1.1 without TLS. Our own listener accepts each connection before it is passed to Node's HTTP server, so that it
 * is counted, awaited and cut like those of the gRPC port.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { refusal } from "../errors.ts";
import type { Log } from "../log.ts";
import { guarded, ignore } from "./boundary.ts";
import type { ConnectionLimits } from "./connection-limits.ts";
import { answerJson } from "./http-answer.ts";
import { createListener, type Listener, type ListenerOptions } from "./listener.ts";
import { errorJson } from "./status.ts";

export type HttpServer = Listener & {
  /** Responses carry `connection: close` from now on; requests in progress continue, and new connections are served. */
  drain(): void;
};

export type HttpServerOptions = Pick<ListenerOptions, "host" | "port"> & {
  readonly connections: Pick<ConnectionLimits, "admit">;
  /** Bound on the headers of a request in bytes; larger ones are answered with 431. */
  readonly headBytes: number;
  /** A request whose headers are not complete after this long is answered with 408. */
  readonly headMs: number;
  /** Bound on the pipelined requests of a connection that are not answered; one more, and the connection is cut. */
  readonly maxUnanswered: number;
  /** Sent to a client that starts with HTTP/2, which this port does not support. */
  readonly http2Advice: () => string;
  readonly onHttp2: () => void;
  readonly log: Log;
};

const checksPerHead = 10;

export function createHttpServer(
  serve: (request: IncomingMessage, response: ServerResponse) => void,
  { host, port, connections, headBytes, headMs, maxUnanswered, http2Advice, onHttp2, log }: HttpServerOptions,
): HttpServer {
  /**
   * By connection. Needed because Node does not close a response that is queued behind another one when the connection
   * ends.
   */
  const unanswered = new Map<Socket, Set<ServerResponse>>();
  let isDraining = false;
  let isClosing = false;

  function unansweredOf(socket: Socket): Set<ServerResponse> {
    let responses = unanswered.get(socket);
    if (!responses) {
      unanswered.set(socket, (responses = new Set()));
      socket.once("close", () => unanswered.delete(socket));
    }
    return responses;
  }

  function onRequest(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    if (socket.destroyed) return; // Node still parses what it has read
    const responses = unansweredOf(socket);
    if (responses.size >= maxUnanswered) return void socket.destroy();
    if (isDraining) response.shouldKeepAlive = false;
    responses.add(response);
    const onClose = () => {
      responses.delete(response);
      if (isClosing) http.closeIdleConnections(); // otherwise Node keeps this connection open for another request
    };
    response.once("close", guarded(log, "a request's end", onClose, ignore));
    serve(request, response);
  }

  /** Answers requests that Node cannot parse, with the statuses of Node's default handler, except for HTTP/2. */
  function onClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (error.code === http2Preface) {
      onHttp2();
      socket.write(goAway(http2Advice()));
    } else if (![...(unanswered.get(socket as Socket) ?? [])].some(({ headersSent }) => headersSent)) {
      socket.write(refusalOf(error, { headBytes, headMs }));
    }
    (socket as Socket).destroySoon(); // once the kernel has what was written
  }

  const options = {
    ...{ maxHeaderSize: headBytes, headersTimeout: headMs, connectionsCheckingInterval: headMs / checksPerHead },
    requestTimeout: 0, // the budget of arriving requests cuts slow bodies
  };
  const cutRequest = (_request: IncomingMessage, response: ServerResponse) => void response.destroy();
  const http = createServer(options, guarded(log, "a request's handler", onRequest, cutRequest));
  const cutSocket = (_error: unknown, socket: Duplex) => void socket.destroy();
  http.on("checkExpectation", (request: IncomingMessage, response: ServerResponse) => {
    const error = refusal("malformed_request", [
      "it expects what is not supported: the only expectation is 100-continue",
    ]);
    answerJson(response, 417, errorJson(error));
    request.resume();
  });
  http.on("clientError", guarded(log, "a request that cannot be read", onClientError, cutSocket));
  const listener = createListener({
    ...{ name: "HTTP", portFlag: "--http-port", host, port },
    allowHalfOpen: true, // a client may half-close as soon as its request is sent
    onConnection: (socket) => void http.emit("connection", socket),
    ...{ connections, log },
  });

  return {
    ...listener,
    async listen() {
      await listener.listen();
      http.emit("listening"); // starts Node's timeout checks of headers
    },
    drain() {
      isDraining = true;
      // idle connections stay open: a request may be on its way, and is answered this way
      for (const responses of unanswered.values()) for (const response of responses) response.shouldKeepAlive = false;
    },
    async close() {
      isClosing = true;
      const closed = listener.close();
      http.close(() => undefined); // closes idle connections; the only possible error is that this server never listened itself
      await closed;
    },
  };
}

/** Error code of Node's parser for the connection preface of HTTP/2 (RFC 9113 §3.4). */
const http2Preface = "HPE_PAUSED_H2_UPGRADE";

function refusalOf(
  { code }: NodeJS.ErrnoException,
  { headBytes, headMs }: Pick<HttpServerOptions, "headBytes" | "headMs">,
): string {
  const refused: { readonly [code: string]: readonly [status: string, why: string] } = {
    HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", `its head has more than ${headBytes} bytes`],
    HPE_CHUNK_EXTENSIONS_OVERFLOW: ["413 Payload Too Large", "its chunk extensions are too long"],
    ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", `its head was not complete after ${headMs} ms`],
  };
  const [status, why] = refused[code ?? ""] ?? ["400 Bad Request", "it is not HTTP/1.1"];
  const body = `${JSON.stringify(errorJson(refusal("malformed_request", [why])))}\n`;
  const headers = `Connection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}`;
  return `HTTP/1.1 ${status}\r\n${headers}\r\n\r\n${body}`;
}

const http11Required = 13;

/** SETTINGS and GOAWAY with the code HTTP_1_1_REQUIRED (RFC 9113 §6.8, §7) and a text that most clients show. */
function goAway(text: string): Buffer {
  const settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
  const bytes = Buffer.from(text);
  const head = Buffer.from([...settings, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, http11Required]);
  head.writeUIntBE(8 + bytes.length, settings.length, 3);
  return Buffer.concat([head, bytes]);
}
