import type { ServerHttp2Session } from "node:http2";
import type { Clock } from "../clock.ts";

export type KeepaliveOptions = {
  readonly clock: Clock;
  /** Between an answer and the next ping. */
  readonly everyMs: number;
  /** How long the answer to a ping may take. */
  readonly timeoutMs: number;
};

/**
 * Pings the client of a session, and ends a session that does not answer: its client is gone, or never sent the preface, or
 * holds back the rest of a head, behind which nothing else can come (RFC 9113 §6.10).
 */
export function keepAlive(session: ServerHttp2Session, { clock, everyMs, timeoutMs }: KeepaliveOptions): void {
  let cancel = clock.after(everyMs, ping);
  session.once("close", () => cancel());

  function ping(): void {
    if (session.destroyed) return;
    cancel = clock.after(timeoutMs, () => session.destroy());
    session.ping((error) => {
      if (error) return;
      cancel();
      cancel = clock.after(everyMs, ping);
    });
  }
}
