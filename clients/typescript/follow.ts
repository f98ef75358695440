import type { ServerStream } from "./connection.ts";
import { MillpondClientError } from "./error.ts";
import type { Reconnect } from "./reconnect.ts";

export type FollowOptions<T> = {
  /** Starts the call; asked again after each lost connection, so it begins where the last one broke off. */
  readonly open: () => ServerStream<T>;
  readonly reconnect: Reconnect;
  /** Whether the server may end the stream; otherwise an end is a lost connection. */
  readonly mayEnd: boolean;
  /** Ends the loop quietly. */
  readonly signal: AbortSignal | undefined;
};

/** Yields what a server streams, over as many calls as it takes. Leaving the loop ends the call. */
export async function* follow<T>({ open, reconnect, mayEnd, signal }: FollowOptions<T>): AsyncGenerator<T, void> {
  const stopping = signal ?? new AbortController().signal;
  while (!stopping.aborted) {
    const stream = open();
    stopping.addEventListener("abort", stream.cancel);
    try {
      for await (const response of stream) {
        reconnect.opened();
        reconnect.progressed();
        yield response;
        if (stopping.aborted) return;
      }
      if (mayEnd) return;
      throw new MillpondClientError({
        reason: "connection_lost",
        codeName: "UNAVAILABLE",
        message: "the server ended the stream",
      });
    } catch (error) {
      if (stopping.aborted) return;
      await reconnect.failed(error, stopping).catch((givenUp: unknown) => {
        if (!stopping.aborted) throw givenUp;
      });
    } finally {
      stopping.removeEventListener("abort", stream.cancel);
      stream.cancel();
    }
  }
}
