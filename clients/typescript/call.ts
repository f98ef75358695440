import type { DescMessage, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { backoffMs } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import { isPassing } from "./error.ts";

/** Makes a call that answers with one message, and tries again where that may help. */
export type Call = <I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  request: MessageShape<I>,
) => Promise<MessageShape<O>>;

export type CallOptions = {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly random: () => number;
  /** Bound on the call with all its tries. */
  readonly deadlineMs: number;
  /** Tries after the first. */
  readonly retries: number;
};

/**
 * Every call may be repeated: they read, or acknowledge up to a cursor, or submit under ids that the client chose. The
 * server's advice says when; without it the delay is drawn at random. A delay that the deadline does not allow is not
 * begun: the error comes at once.
 */
export function createCall({ connection, clock, random, deadlineMs, retries }: CallOptions): Call {
  return async (method, request) => {
    const deadlineAt = clock.now() + deadlineMs;
    for (let attempt = 0; ; attempt++) {
      try {
        return await connection.unary(method, request, deadlineAt - clock.now());
      } catch (error) {
        if (!isPassing(error) || attempt >= retries) throw error;
        const delayMs = error.retryAfterMs ?? backoffMs(attempt, random);
        if (clock.now() + delayMs >= deadlineAt) throw error;
        await clock.sleep(delayMs);
      }
    }
  };
}
