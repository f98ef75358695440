/** Memory with one bound, shared among clients: for results on their way to them, and for requests, where each connection is one. */

export type SharedRoom = {
  /** Asks for so many bytes. */
  take(client: string, bytes: number): Place;
  /** Bytes that are taken, by all clients. */
  taken(): number;
};

export type Place = {
  /** Resolves once the bytes are taken, or when the place was given back before. */
  readonly granted: Promise<void>;
  /** Whether the bytes are taken, which they may be at once. */
  isGranted(): boolean;
  /** Takes less or more. False: there is no room for so much, or it was given back; then nothing has changed. */
  resize(bytes: number): boolean;
  /** Gives everything back, or asks no longer. Safe to call again. */
  free(): void;
};

/** `since`: how many places had been granted when it asked. */
type Asking = { readonly bytes: number; readonly since: number; readonly grant: () => void };

/** So many places may be granted to others while a client waits that holds nothing; then they wait for it. */
const mostPassed = 200;

/**
 * A client may take as much as is left for others afterwards: one alone half of it all, each of two a third. So those that
 * hold much because they do not read leave room for the next, whoever comes when. What is larger than any share is granted
 * when nothing is taken. Within a client who asks first is first; among clients each has its turn, and who needs less
 * than is left does not wait for those who need more, unless these have waited for long.
 */
export function createSharedRoom(maxBytes: number): SharedRoom {
  const takenBy = new Map<string, number>();
  /** By client, the next to be served first. */
  const asking = new Map<string, Set<Asking>>();
  let total = 0;
  let grants = 0;

  function isPassed(asked: Asking): boolean {
    return grants - asked.since >= mostPassed;
  }

  /** Who has waited for so long that nobody else is served before. Looks at all who wait: once for each grant, no more. */
  function overdue(): Asking | undefined {
    for (const [client, [first]] of asking) {
      if (first && isPassed(first) && !takenBy.has(client)) return first;
    }
    return undefined;
  }

  function fits(client: string, more: number): boolean {
    return more <= 0 || total === 0 || (takenBy.get(client) ?? 0) + more <= maxBytes - total - more;
  }

  function add(client: string, more: number): void {
    total += more;
    const taken = (takenBy.get(client) ?? 0) + more;
    if (taken > 0) takenBy.set(client, taken);
    else takenBy.delete(client);
  }

  function leave(client: string, asked: Asking): void {
    const line = asking.get(client);
    line?.delete(asked);
    if (line?.size === 0) asking.delete(client);
  }

  /** Whether others wait because this one does: those behind it, or all when it is overdue. */
  function holdsUp(client: string, asked: Asking): boolean {
    const line = asking.get(client);
    const [first] = line ?? [];
    return first === asked && ((line?.size ?? 0) > 1 || isPassed(asked));
  }

  function serve(): void {
    let late = overdue();
    for (const [client, line] of asking) {
      const [first] = line;
      if (!first || (late && late !== first) || !fits(client, first.bytes)) continue;
      asking.delete(client);
      asking.set(client, line); // behind the others, where this loop comes by again
      leave(client, first);
      first.grant();
      late = overdue();
    }
  }

  return {
    take(client, bytes) {
      let taken = 0;
      let isGranted = false;
      let isFree = false;
      const { promise: granted, resolve } = Promise.withResolvers<void>();
      const asked = {
        bytes,
        since: grants,
        grant() {
          grants += 1;
          isGranted = true;
          taken = bytes;
          add(client, bytes);
          resolve();
        },
      };
      if (!asking.has(client) && fits(client, bytes) && !overdue()) asked.grant();
      else asking.set(client, (asking.get(client) ?? new Set()).add(asked));
      return {
        granted,
        isGranted: () => isGranted && !isFree,
        resize(wanted) {
          const more = wanted - taken;
          if (isFree || !fits(client, more) || (more > 0 && overdue())) return false;
          taken = wanted;
          add(client, more);
          if (more < 0) serve();
          return true;
        },
        free() {
          if (isFree) return;
          isFree = true;
          const makesWay = isGranted || holdsUp(client, asked);
          leave(client, asked);
          resolve();
          add(client, -taken);
          if (makesWay) serve();
        },
      };
    },
    taken: () => total,
  };
}
