/**
 * HTTP/1.1 and HTTP/2 without TLS on one port. A client that speaks HTTP/2 begins with a fixed preface (RFC 9113 §3.4):
 * the first four bytes, `PRI `, are looked at and put back.
 */
import type { IncomingMessage, Server as Http1Server, ServerResponse } from "node:http";
import type { Http2Server, ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import { guarded, guardStreams, ignore } from "./boundary.ts";
import type { ConnectionLimits } from "./connection-limits.ts";
import { keepAlive, type KeepaliveOptions } from "./keepalive.ts";
import { createListener, type Listener } from "./listener.ts";

const prefaceStart = "PRI ";

export type DualServer = Listener & {
  /** Tells the clients of every connection to make another one: what is under way goes on, and new ones are served. */
  drain(): void;
};

export type DualServerOptions = {
  readonly connections: Pick<ConnectionLimits, "admit">;
  /** A connection that has not even sent four bytes after this long is cut. */
  readonly firstBytesMs: number;
  readonly keepalive: Omit<KeepaliveOptions, "clock" | "log">;
  readonly clock: Clock;
  readonly log: Log;
};

export function createDualServer(
  http1: Http1Server,
  http2: Http2Server,
  { connections, firstBytesMs, keepalive, clock, log }: DualServerOptions,
): DualServer {
  /** Those of which is not known yet what they speak. */
  const undecided = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  const unanswered = new Set<ServerResponse>();
  let isDraining = false;
  let isClosing = false;
  // before anybody answers; a connection that was busy when the server closed would be kept for a next request
  const onRequest = (_request: IncomingMessage, response: ServerResponse) => {
    if (isDraining) response.shouldKeepAlive = false;
    unanswered.add(response);
    const onClose = () => {
      unanswered.delete(response);
      if (isClosing) http1.closeIdleConnections();
    };
    response.once("close", guarded(log, "a request's end", onClose, ignore));
  };
  const onSession = (session: ServerHttp2Session) => {
    guardStreams(session, log);
    keepAlive(session, { ...keepalive, clock, log });
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  };
  const cutRequest = (_request: IncomingMessage, response: ServerResponse) => void response.destroy();
  const cutSession = (session: ServerHttp2Session) => session.destroy();
  http1.prependListener("request", guarded(log, "a request's handler", onRequest, cutRequest));
  http2.on("session", guarded(log, "a session's handler", onSession, cutSession));

  // half-open: a client of HTTP/1.1 may end its side as soon as its request is sent
  const listener = createListener({ allowHalfOpen: true, connections, onConnection: decide, log });

  function decide(socket: Socket): void {
    let start = Buffer.alloc(0);
    const cut = () => socket.destroy();
    const read = (bytes: Buffer) => {
      start = Buffer.concat([start, bytes]);
      const text = start.toString("latin1", 0, prefaceStart.length);
      if (text !== prefaceStart && prefaceStart.startsWith(text)) return; // the rest is in the next packet
      leave();
      hand(socket, start, text === prefaceStart);
    };
    const look = guarded(log, "a connection's first packet", read, cut);
    const leave = () => {
      undecided.delete(socket);
      socket.setTimeout(0).off("timeout", cut).off("end", cut).off("close", leave).off("data", look);
    };
    undecided.add(socket);
    socket.setTimeout(firstBytesMs).on("timeout", cut).on("end", cut).on("close", leave).on("data", look);
  }

  function hand(socket: Socket, start: Buffer, isHttp2: boolean): void {
    socket.pause();
    socket.unshift(start);
    socket.allowHalfOpen = !isHttp2;
    (isHttp2 ? http2 : http1).emit("connection", socket);
    process.nextTick(() => socket.resume());
  }

  return {
    async listen(host, port) {
      const bound = await listener.listen(host, port);
      http1.emit("listening"); // from here on Node cuts clients that never finish a request's head
      return bound;
    },
    drain() {
      isDraining = true;
      // says `connection: close`; idle ones stay, for a request may be on its way, and is answered so
      for (const response of unanswered) response.shouldKeepAlive = false;
      for (const session of sessions) session.close(); // says GOAWAY
    },
    async close() {
      isClosing = true;
      const closed = listener.close();
      for (const socket of undecided) socket.destroy();
      http1.close(() => undefined); // ends idle connections; that it never listened itself is no news
      for (const session of sessions) session.close();
      await closed;
    },
    destroy: listener.destroy,
    cut: listener.cut,
  };
}
