import { backoffMs } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import { clientClosed, isPassing, MillpondClientError } from "./error.ts";

/** A stream that stood this long was no failed try, even when nothing came over it. */
const steadyMs = 5_000;

/** Decides for one stream whether and when it is opened again. */
export type Reconnect = {
  /** The stream is open. */
  opened(): void;
  /** It worked: the count of failures begins at 0 again. */
  progressed(): void;
  /**
   * Waits until it is time to open the stream again. Throws the error when that is no use, or the time is up, and
   * `client_closed` as soon as the client is closed.
   */
  failed(error: unknown, signal: AbortSignal): Promise<void>;
};

export type ReconnectOptions = {
  readonly connection: Pick<Connection, "closed">;
  readonly clock: Clock;
  readonly random: () => number;
  /** How long to go on without progress once a server has been reached. */
  readonly reconnectMs: number;
  /** How often to try again when no server was ever reached: more likely the address is wrong. */
  readonly retries: number;
};

export function createReconnect(options: ReconnectOptions): Reconnect {
  const { clock, random, reconnectMs, retries } = options;
  const { closed } = options.connection;
  let failures = 0;
  let failingSince: number | undefined;
  let openedAt: number | undefined;
  let wasEverOpen = false;

  const progressed = () => {
    failures = 0;
    failingSince = undefined;
  };

  return {
    opened: () => {
      openedAt = clock.now();
      wasEverOpen = true;
    },
    progressed,
    failed: async (error, signal) => {
      if (!isPassing(error)) throw error;
      const now = clock.now();
      if (openedAt !== undefined && now - openedAt >= steadyMs) progressed();
      openedAt = undefined;
      failingSince ??= now;
      if (!wasEverOpen && failures >= retries) throw error;
      const delayMs = Math.max(error.retryAfterMs ?? 0, backoffMs(failures++, random));
      if (now + delayMs >= failingSince + reconnectMs) throw gaveUp(error, now - failingSince, reconnectMs);
      await clock.sleep(delayMs, AbortSignal.any([signal, closed])).catch((interrupted: unknown) => {
        throw closed.aborted ? clientClosed() : interrupted;
      });
    },
  };
}

/** The error, which also says that the stream was open or tried for long: a wrong address fails otherwise with the same words. */
function gaveUp(error: MillpondClientError, triedMs: number, reconnectMs: number): MillpondClientError {
  const { reason, codeName, retryAfterMs, violations, cause } = error;
  const tried = `tried again for ${(triedMs / 1000).toFixed(1)} s without progress, and reconnectMs is ${reconnectMs}`;
  const message = `${error.message}; ${tried}: jobs that were accepted may still run`;
  return new MillpondClientError({ reason, codeName, message, retryAfterMs, violations }, { cause });
}
