/**
 * What comes before grpc-js: it makes its HTTP/2 server itself, and has no option for what it does with a request. But Node
 * publishes each stream before it is handled, and with it its session.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { Log } from "../log.ts";
import { type Admit, guarded, guardStreams, ignore } from "./boundary.ts";

export type GrpcStreams = {
  /** Streams of this connection are guarded. */
  watch(socket: Socket): void;
  start(): void;
  stop(): void;
};

const channel = "http2.server.stream.created";

export function createGrpcStreams(log: Log, admit: Admit): GrpcStreams {
  /** Marks a socket whose streams are ours; a session shows the properties of its socket, and not the socket. */
  const mark = Symbol("guarded");
  const seen = new WeakSet();

  /** What a subscriber throws ends the process, too. */
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
