import type { ServerHttp2Session } from "node:http2";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import { guarded } from "./boundary.ts";

export type KeepaliveOptions = {
  readonly clock: Clock;
  /** Between an answer and the next ping. */
  readonly everyMs: number;
  /** How long the answer to a ping may take. */
  readonly timeoutMs: number;
  readonly log: Log;
};

/**
 * Pings the client of a session, and ends a session that does not answer: its client is gone, or never sent the preface, or
 * holds back the rest of a head, behind which nothing else can come (RFC 9113 §6.10).
 */
export function keepAlive(session: ServerHttp2Session, { clock, everyMs, timeoutMs, log }: KeepaliveOptions): void {
  const cut = () => session.destroy();
  const ping = guarded(log, "a ping", sendPing, cut);
  const onAnswer = guarded(log, "the answer to a ping", answered, cut);
  let cancel = clock.after(everyMs, ping);
  session.once("close", () => cancel());

  function sendPing(): void {
    if (session.destroyed) return;
    cancel = clock.after(timeoutMs, cut);
    session.ping(onAnswer);
  }

  function answered(error: Error | null): void {
    if (error) return;
    cancel();
    cancel = clock.after(everyMs, ping);
  }
}
