import type { DescMessage, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { backoffMs } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import type { MillpondClientError } from "./error.ts";
import { clientClosed, isPassing, wasNotBegun } from "./error.ts";
import type { Tracing } from "./tracing.ts";

/** Makes a call that answers with one message, and tries again where that may help. */
export type Call = <I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  request: MessageShape<I>,
  terms?: CallTerms,
) => Promise<MessageShape<O>>;

/** What differs from the rule for one call. */
export type CallTerms = {
  /** Bound on the call with all its tries. Infinity: none. Default: the client's. */
  readonly deadlineMs?: number | undefined;
  /** Cancels the call, and the wait for its next try; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Tries after the first. Default: the client's. */
  readonly retries?: number | undefined;
  /** False: doing it twice is not the same as once, so it is tried again only when the server refused to begin. */
  readonly isRepeatable?: boolean | undefined;
  /** Called with what failed before each further try. */
  readonly onRetry?: ((error: MillpondClientError) => void) | undefined;
};

export type CallOptions = {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly random: () => number;
  /** Bound on the call with all its tries. */
  readonly deadlineMs: number;
  /** Tries after the first. */
  readonly retries: number;
  readonly tracing: Pick<Tracing, "metadata">;
};

/**
 * Nearly every call may be repeated: they read, or acknowledge up to a cursor, or submit under ids that the client chose;
 * `isRepeatable` says which do not. The server's advice says when; without it the delay is drawn at random. A delay that
 * the deadline does not allow is not begun: the error comes at once. Closing the connection ends the wait.
 */
export function createCall({ connection, clock, random, deadlineMs, retries, tracing }: CallOptions): Call {
  return async (method, request, terms = {}) => {
    const { signal, isRepeatable = true, onRetry } = terms;
    const maxRetries = terms.retries ?? retries;
    const traced = tracing.metadata();
    const headers = traced && (await traced);
    const deadlineAt = clock.now() + (terms.deadlineMs ?? deadlineMs);
    for (let attempt = 0; ; attempt++) {
      signal?.throwIfAborted();
      try {
        return await connection.unary(method, request, deadlineAt - clock.now(), signal, headers);
      } catch (error) {
        signal?.throwIfAborted();
        if (!isPassing(error) || attempt >= maxRetries || (!isRepeatable && !wasNotBegun(error))) throw error;
        const delayMs = error.retryAfterMs ?? backoffMs(attempt, random);
        if (clock.now() + delayMs >= deadlineAt) throw error;
        const ending = signal === undefined ? connection.closed : AbortSignal.any([signal, connection.closed]);
        await clock.sleep(delayMs, ending).catch((interrupted: unknown) => {
          signal?.throwIfAborted();
          throw connection.closed.aborted ? clientClosed() : interrupted;
        });
        onRetry?.(error);
      }
    }
  };
}
