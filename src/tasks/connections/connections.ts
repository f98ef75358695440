/**
 * The connections of one worker thread to one server. They are reused between jobs, and each holds a permit of the
 * whole process.
 */
import { type Clock, systemClock } from "../../clock.ts";
import type { Permit, Permits } from "../../pool/resource.ts";

export type Connection = {
  /** False once the connection can do no more work. */
  isUsable(): boolean;
  /** Closes the connection; resolves when the server no longer counts it. Safe to repeat. */
  close(): Promise<void>;
  /** Resolves when the connection is closed by either side. */
  readonly closed: Promise<void>;
};

export type Connections<C extends Connection> = {
  /** The idle connection that was used last. The caller releases or closes it. */
  takeIdle(): C | undefined;
  /**
   * Waits for an idle connection, one that another job of the thread releases, or a permit to open one, whichever comes
   * first. Rejects with the signal's reason.
   */
  next(signal: AbortSignal): Promise<{ readonly connection: C } | { readonly permit: Permit }>;
  /** Opens a connection, which holds the permit until it is closed. If that fails, the permit is released. */
  open(permit: Permit, openOne: () => Promise<C>): Promise<C>;
  /**
   * Passes the connection to a waiting job, or keeps it for the next one. Closes it if it is not usable, if another
   * thread waits for its permit, or after `close`.
   */
  release(connection: C): Promise<void>;
  /** Closes the idle connections, and each of the others when it is released. */
  close(): Promise<void>;
};

export type ConnectionsParts = {
  readonly permits: Pick<Permits, "acquire" | "onWanted">;
  /** How long a connection stays open without work, in milliseconds. */
  readonly idleMs: number;
  readonly clock?: Clock;
};

/**
 * A connection is kept for this multiple of the time it took to open, even if other threads wait, but no longer than
 * `longestPaidMs`.
 */
const costsPaid = 10;
const longestPaidMs = 10_000;
/** A thread that waits for a connection asks for it more often than that. */
const stillWantedMs = 1_000;

export function createConnections<C extends Connection>({
  permits,
  idleMs,
  clock = systemClock,
}: ConnectionsParts): Connections<C> {
  /** Idle connections with the cancel of their idle timer; the last one was used last. */
  const idle = new Map<C, () => void>();
  /** Jobs of this thread that wait for a connection, in order of arrival. */
  const waiting = new Set<(connection: C) => void>();
  /** How long each connection took to open, and when it was open. */
  const opened = new WeakMap<C, { readonly costMs: number; readonly atMs: number }>();
  /**
   * When another thread last waited for a permit while no connection was idle. Without it, jobs of this thread could keep
   * passing a connection on to each other forever. A thread that goes on waiting asks again and again.
   */
  let owedMs = Number.NEGATIVE_INFINITY;
  let isClosed = false;
  const stopListening = permits.onWanted(() => {
    owedMs = idle.size === 0 ? clock.monotonicMs() : Number.NEGATIVE_INFINITY;
    for (const connection of idle.keys()) if (hasPaid(connection)) void closeIdle(connection);
  });

  /**
   * Whether a connection was used long enough for its cost: one that was slow to open, such as a process on a busy
   * machine, is kept for a while before another thread opens one.
   */
  function hasPaid(connection: C): boolean {
    const { costMs = 0, atMs = 0 } = opened.get(connection) ?? {};
    return clock.monotonicMs() - atMs >= Math.min(costMs * costsPaid, longestPaidMs);
  }

  function leaveIdle(connection: C): void {
    idle.get(connection)?.();
    idle.delete(connection);
  }

  function closeIdle(connection: C): Promise<void> {
    leaveIdle(connection);
    return connection.close();
  }

  function takeIdle(): C | undefined {
    for (;;) {
      const connection = [...idle.keys()].at(-1);
      if (connection) leaveIdle(connection);
      if (!connection || connection.isUsable()) return connection;
    }
  }

  return {
    takeIdle,
    async next(signal) {
      const kept = takeIdle();
      if (kept) return { connection: kept };
      let handed: C | undefined;
      const { promise, resolve } = Promise.withResolvers<void>();
      const hand = (connection: C) => {
        handed = connection;
        resolve();
      };
      const enough = new AbortController();
      const permit = permits.acquire(AbortSignal.any([signal, enough.signal]));
      waiting.add(hand);
      try {
        await Promise.race([promise, permit]);
      } catch (error) {
        if (!handed) throw error;
      } finally {
        waiting.delete(hand);
      }
      if (!handed) return { permit: await permit };
      void permit.then(
        ({ release }) => release(), // the permit came at the same time as a connection
        () => {},
      );
      enough.abort();
      return { connection: handed };
    },
    async open(permit, openOne) {
      const beganMs = clock.monotonicMs();
      try {
        const connection = await openOne();
        const atMs = clock.monotonicMs();
        opened.set(connection, { costMs: atMs - beganMs, atMs });
        void connection.closed.then(() => {
          leaveIdle(connection);
          permit.release();
        });
        return connection;
      } catch (error) {
        permit.release();
        throw error;
      }
    },
    async release(connection) {
      const isOwed = clock.monotonicMs() - owedMs < stillWantedMs;
      const isWanted = isOwed && waiting.size > 0 && hasPaid(connection);
      if (isWanted) owedMs = Number.NEGATIVE_INFINITY;
      if (isWanted || isClosed || !connection.isUsable()) return connection.close();
      for (const hand of waiting) {
        waiting.delete(hand);
        return hand(connection);
      }
      idle.set(
        connection,
        clock.after(idleMs, () => void closeIdle(connection)),
      );
    },
    async close() {
      isClosed = true;
      stopListening();
      await Promise.all([...idle.keys()].map(closeIdle));
    },
  };
}
