/**
 * A bound on bytes in memory that clients share: for results on their way to them, and, per connection, for requests.
 */

export type ReadBudget = {
  /** Requests this many bytes. */
  reserve(client: string, bytes: number): Reservation;
  /** Bytes that all clients hold together. */
  reservedBytes(): number;
};

export type Reservation = {
  /** Resolves once the bytes are reserved, or when the reservation is released before that. */
  readonly granted: Promise<void>;
  /** Whether the bytes are reserved, possibly at once. */
  isGranted(): boolean;
  /** Changes the number of bytes. False, without a change: the budget has no room, or the reservation was released. */
  resize(bytes: number): boolean;
  /** Returns all bytes, or stops waiting for them. Safe to repeat. */
  release(): void;
};

/** `since`: number of reservations that had been granted when this one was requested. */
type Waiting = { readonly bytes: number; readonly since: number; readonly grant: () => void };

/**
 * Bound on the reservations granted to others while a client waits that holds nothing; at the bound the others wait.
 */
const mostPassed = 200;

/**
 * A client may reserve as much as is left for others afterwards: a single one half of the budget, each of two a third.
 * So clients that hold much because they do not read leave room for the next one. A request that exceeds any share is
 * granted when nothing is reserved. Requests of one client are granted in order; clients take turns, and one that needs
 * less than is left does not wait for those that need more, unless these have waited for long.
 */
export function createReadBudget(maxBytes: number): ReadBudget {
  const heldBy = new Map<string, number>();
  /** By client; the next one comes first. */
  const waiting = new Map<string, Set<Waiting>>();
  let total = 0;
  let grants = 0;

  function isPassed(asked: Waiting): boolean {
    return grants - asked.since >= mostPassed;
  }

  /**
   * The request that has waited for so long that no other is granted first. Reads all clients, but only once per grant.
   */
  function overdue(): Waiting | undefined {
    for (const [client, [first]] of waiting) {
      if (first && isPassed(first) && !heldBy.has(client)) return first;
    }
    return undefined;
  }

  function fits(client: string, more: number): boolean {
    return more <= 0 || total === 0 || (heldBy.get(client) ?? 0) + more <= maxBytes - total - more;
  }

  function add(client: string, more: number): void {
    total += more;
    const held = (heldBy.get(client) ?? 0) + more;
    if (held > 0) heldBy.set(client, held);
    else heldBy.delete(client);
  }

  function leave(client: string, asked: Waiting): void {
    const queue = waiting.get(client);
    queue?.delete(asked);
    if (queue?.size === 0) waiting.delete(client);
  }

  /** Whether others wait because of this one: those behind it, or all if it is overdue. */
  function holdsUp(client: string, asked: Waiting): boolean {
    const queue = waiting.get(client);
    const [first] = queue ?? [];
    return first === asked && ((queue?.size ?? 0) > 1 || isPassed(asked));
  }

  function serve(): void {
    let late = overdue();
    for (const [client, queue] of waiting) {
      const [first] = queue;
      if (!first || (late && late !== first) || !fits(client, first.bytes)) continue;
      waiting.delete(client);
      waiting.set(client, queue); // moves to the end, where this loop reaches it again
      leave(client, first);
      first.grant();
      late = overdue();
    }
  }

  return {
    reserve(client, bytes) {
      let held = 0;
      let isGranted = false;
      let isReleased = false;
      const { promise: granted, resolve } = Promise.withResolvers<void>();
      const asked = {
        bytes,
        since: grants,
        grant() {
          grants += 1;
          isGranted = true;
          held = bytes;
          add(client, bytes);
          resolve();
        },
      };
      if (!waiting.has(client) && fits(client, bytes) && !overdue()) asked.grant();
      else waiting.set(client, (waiting.get(client) ?? new Set()).add(asked));
      return {
        granted,
        isGranted: () => isGranted && !isReleased,
        resize(wanted) {
          const more = wanted - held;
          if (isReleased || !fits(client, more) || (more > 0 && overdue())) return false;
          held = wanted;
          add(client, more);
          if (more < 0) serve();
          return true;
        },
        release() {
          if (isReleased) return;
          isReleased = true;
          const makesRoom = isGranted || holdsUp(client, asked);
          leave(client, asked);
          resolve();
          add(client, -held);
          if (makesRoom) serve();
        },
      };
    },
    reservedBytes: () => total,
  };
}
