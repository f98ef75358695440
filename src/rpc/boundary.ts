/**
 * The boundary between the network and this program. Node calls handlers of connections, requests, streams and timers
 * from its event loop, where an uncaught error ends the process. So each handler is wrapped here: what it throws is
 * logged and ends only the connection, request or stream it was called for.
 */
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";

/** Wraps `handler`: what it throws is logged, and `end` closes what it was called for. `end` must not throw. */
export function guarded<Args extends readonly unknown[]>(
  log: Log,
  what: string,
  handler: (...args: Args) => void,
  end: (...args: Args) => void,
): (...args: Args) => void {
  return (...args) => {
    try {
      handler(...args);
    } catch (error) {
      report(log, what, error);
      end(...args);
    }
  };
}

/** The same clock with timers that never throw. A timer whose error has to end something is `guarded` where it is set. */
export function guardTimers(clock: Clock, log: Log): Clock {
  return { ...clock, after: (delayMs, action) => clock.after(delayMs, guarded(log, "a timer", action, ignore)) };
}

/** Logs an error that should not happen, with its stack. */
export function report(log: Log, what: string, error: unknown): void {
  log.error({ error: messageOf(error), stack: error instanceof Error ? error.stack : undefined }, `${what} failed`);
}

/** Handles errors of broken connections, which need no action. */
export const ignore = (): void => undefined;

/** Whether a stream is passed to its handlers. False: it has been answered. */
export type Admit = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => boolean;

/**
 * Runs `admit` before the stream handlers of an HTTP/2 session (Node's and grpc-js's), and guards them. They throw, for
 * example, when a client resets a stream in the packet that opens it.
 */
export function guardStreams(session: ServerHttp2Session, log: Log, admit: Admit = () => true): void {
  type Handler = (this: ServerHttp2Session, stream: ServerHttp2Stream, ...rest: unknown[]) => void;
  const handlers = session.listeners("stream") as Handler[];
  const handle = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, ...rest: unknown[]) => {
    stream.on("error", ignore);
    if (stream.destroyed || stream.closed || !admit(stream, headers)) return;
    for (const handler of handlers) handler.call(session, stream, headers, ...rest);
  };
  session.removeAllListeners("stream");
  session.on(
    "stream",
    guarded(log, "a stream's handler", handle, (stream) => stream.destroy()),
  );
}
