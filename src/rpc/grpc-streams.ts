/**
 * Hooks into HTTP/2 streams before grpc-js handles them. grpc-js creates its HTTP/2 server itself and has no option for
 * this, but Node publishes each new stream, with its session, on a diagnostics channel.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { Log } from "../log.ts";
import { type Admit, guarded, guardStreams, ignore } from "./boundary.ts";

export type GrpcStreams = {
  /** Guards the streams of this connection. */
  watch(socket: Socket): void;
  start(): void;
  stop(): void;
};

const channel = "http2.server.stream.created";

export function createGrpcStreams(log: Log, admit: Admit): GrpcStreams {
  /** Marks the sockets whose streams are ours. A session exposes the properties of its socket, but not the socket. */
  const mark = Symbol("guarded");
  const seen = new WeakSet();

  /** Guarded, because an error thrown by a subscriber ends the process. */
  const onCreated = guarded(log, "watching a session", watchSession, ignore);

  function watchSession(published: unknown): void {
    const { session } = (published as { readonly stream: ServerHttp2Stream }).stream;
    if (!session || session.destroyed || seen.has(session)) return;
    seen.add(session);
    if (Reflect.get(session.socket, mark) === true) guardStreams(session as ServerHttp2Session, log, admit);
  }

  return {
    watch: (socket) => void Object.defineProperty(socket, mark, { value: true }),
    start: () => subscribe(channel, onCreated),
    stop: () => void unsubscribe(channel, onCreated),
  };
}
