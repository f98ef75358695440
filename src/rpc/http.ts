/**
 * HTTP/1.1 without TLS. Each connection passes our own listener before Node's HTTP server has it, so that it is counted, and can
 * be waited for and cut, like those of the gRPC port.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Log } from "../log.ts";
import { guarded, ignore } from "./boundary.ts";
import type { ConnectionLimits } from "./connection-limits.ts";
import { createListener, type Listener, type ListenerOptions } from "./listener.ts";

export type HttpServer = Listener & {
  /** Answers say `connection: close` from now on: what is under way goes on, and new connections are served. */
  drain(): void;
};

export type HttpServerOptions = Pick<ListenerOptions, "host" | "port"> & {
  readonly connections: Pick<ConnectionLimits, "admit">;
  /** The head of a request may have this many bytes; beyond them it is answered 431. */
  readonly headBytes: number;
  /** A connection whose first or next request has begun, and whose head is not complete after this long, is answered 408. */
  readonly headMs: number;
  /** Requests of one connection that were read and are not answered; with one more its connection is cut. */
  readonly maxUnanswered: number;
  /** Sent to a client that begins with HTTP/2, which is not spoken here. */
  readonly http2Advice: () => string;
  readonly onHttp2: () => void;
  readonly log: Log;
};

const checksPerHead = 10;

export function createHttpServer(
  serve: (request: IncomingMessage, response: ServerResponse) => void,
  { host, port, connections, headBytes, headMs, maxUnanswered, http2Advice, onHttp2, log }: HttpServerOptions,
): HttpServer {
  /** By connection: Node closes no response that waits behind another one when their connection ends. */
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
    if (socket.destroyed) return; // Node goes on with what it has read
    const responses = unansweredOf(socket);
    if (responses.size >= maxUnanswered) return void socket.destroy();
    if (isDraining) response.shouldKeepAlive = false;
    responses.add(response);
    const onClose = () => {
      responses.delete(response);
      if (isClosing) http.closeIdleConnections(); // Node would keep this one for a next request
    };
    response.once("close", guarded(log, "a request's end", onClose, ignore));
    serve(request, response);
  }

  /** What Node cannot parse. Except for HTTP/2 it gets the answers that Node gives when nobody listens for this. */
  function onClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (error.code === http2Preface) {
      onHttp2();
      socket.write(goAway(http2Advice()));
    } else if (![...(unanswered.get(socket as Socket) ?? [])].some(({ headersSent }) => headersSent)) {
      socket.write(`HTTP/1.1 ${answers[error.code ?? ""] ?? "400 Bad Request"}\r\nConnection: close\r\n\r\n`);
    }
    (socket as Socket).destroySoon(); // when what was written is with the kernel
  }

  const options = {
    ...{ maxHeaderSize: headBytes, headersTimeout: headMs, connectionsCheckingInterval: headMs / checksPerHead },
    requestTimeout: 0, // the budget of arriving requests cuts slow bodies
  };
  const cutRequest = (_request: IncomingMessage, response: ServerResponse) => void response.destroy();
  const http = createServer(options, guarded(log, "a request's handler", onRequest, cutRequest));
  const cutSocket = (_error: unknown, socket: Duplex) => void socket.destroy();
  http.on("clientError", guarded(log, "a request that cannot be read", onClientError, cutSocket));
  const listener = createListener({
    ...{ name: "HTTP", portFlag: "--http-port", host, port },
    allowHalfOpen: true, // a client may end its side as soon as its request is sent
    onConnection: (socket) => void http.emit("connection", socket),
    ...{ connections, log },
  });

  return {
    ...listener,
    async listen() {
      await listener.listen();
      http.emit("listening"); // from here on Node checks for heads that take too long
    },
    drain() {
      isDraining = true;
      // idle connections stay: a request may be on its way, and is answered so
      for (const responses of unanswered.values()) for (const response of responses) response.shouldKeepAlive = false;
    },
    async close() {
      isClosing = true;
      const closed = listener.close();
      http.close(() => undefined); // ends idle connections; its only error is that it never listened by itself
      await closed;
    },
  };
}

/** Of Node's parser: the connection begins with the preface of HTTP/2 (RFC 9113 §3.4). */
const http2Preface = "HPE_PAUSED_H2_UPGRADE";
const answers: { readonly [code: string]: string } = {
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
  HPE_CHUNK_EXTENSIONS_OVERFLOW: "413 Payload Too Large",
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
};
const http11Required = 13;

/** SETTINGS and GOAWAY with the code HTTP_1_1_REQUIRED (RFC 9113 §6.8, §7) and a text that most clients show. */
function goAway(text: string): Buffer {
  const settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
  const bytes = Buffer.from(text);
  return Buffer.concat([
    Buffer.from([...settings, 0, 0, 8 + bytes.length, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, http11Required]),
    bytes,
  ]);
}
