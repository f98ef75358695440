/**
 * gRPC's Trailers-Only: an error before any message comes as one head that is also the end. connect-node sends a head and
 * trailers for it, and by their rules clients must not retry a call whose head has come (gRFC A6), whatever its status.
 */

/** A response of connect-node, of which only gRPC's have trailers. */
export type UniversalResponse = {
  readonly status: number;
  readonly header?: Headers;
  readonly body?: AsyncIterable<Uint8Array>;
  readonly trailer?: Headers;
};

/** The response with its trailers in its head, when it has no message; it waits for the first one to know. */
export async function trailersOnly(response: UniversalResponse): Promise<UniversalResponse> {
  const { status, header, body, trailer } = response;
  if (!trailer || !body) return response;
  const chunks = body[Symbol.asyncIterator]();
  const first = await chunks.next();
  if (!first.done) return { ...response, body: { [Symbol.asyncIterator]: () => startingWith(first, chunks) } };
  const merged = new Headers(header);
  for (const [name, value] of trailer) merged.set(name, value);
  return { status, header: merged };
}

/** The rest of `chunks` with what was already taken in front. Whoever reads it can end it or report an error, as before. */
function startingWith<T>(first: IteratorResult<T>, chunks: AsyncIterator<T>): AsyncIterator<T> {
  let isTaken = false;
  return {
    next() {
      if (isTaken) return chunks.next();
      isTaken = true;
      return Promise.resolve(first);
    },
    throw: (error: unknown) => chunks.throw?.(error) ?? Promise.reject(error),
    return: (value: unknown) => chunks.return?.(value) ?? Promise.resolve({ done: true, value }),
  };
}
