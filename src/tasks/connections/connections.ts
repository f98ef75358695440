/** The connections of one worker thread to one server: kept from job to job, each with a permit of the whole process. */
import { type Clock, systemClock } from "../../clock.ts";
import type { Permit, Permits } from "../../pool/resource.ts";

export type Connection = {
  /** False once it can do no work any more. */
  isUsable(): boolean;
  /** Closes it, and resolves when the server no longer counts it. Safe to call again. */
  close(): Promise<void>;
  /** Resolves when it is closed, by whichever side. */
  readonly closed: Promise<void>;
};

export type Connections<C extends Connection> = {
  /** The idle connection that was used last. Whoever takes it gives it back, or closes it. */
  takeIdle(): C | undefined;
  /**
   * What a job goes on with: the idle connection, the next that another job of the thread gives back, or a permit to open one,
   * whichever is there first. Rejects with the signal's reason.
   */
  next(signal: AbortSignal): Promise<{ readonly connection: C } | { readonly permit: Permit }>;
  /** Opens one more, which holds the permit until it is closed. When that fails, the permit is released. */
  open(permit: Permit, openOne: () => Promise<C>): Promise<C>;
  /**
   * Hands the connection to a job that waits, or keeps it for the next one; or closes it: when it is not usable, when another
   * thread waits for it, or after `close`.
   */
  giveBack(connection: C): Promise<void>;
  /** Closes those that are idle, and each other one when it is given back. */
  close(): Promise<void>;
};

export type ConnectionsParts = {
  readonly permits: Pick<Permits, "acquire" | "onWanted">;
  /** How long one stays open without work. */
  readonly idleMs: number;
  readonly clock?: Clock;
};

/** A connection is kept for this multiple of the time that opening it took, even if others wait, but no longer than `longestPaidMs`. */
const costsPaid = 10;
const longestPaidMs = 10_000;

export function createConnections<C extends Connection>({
  permits,
  idleMs,
  clock = systemClock,
}: ConnectionsParts): Connections<C> {
  /** Those without work, with what cancels the end of their wait; the last one was used last. */
  const idle = new Map<C, () => void>();
  /** Jobs of this thread that wait for a connection, the first in front. */
  const waiting = new Set<(connection: C) => void>();
  /** What opening each connection cost, and when it was open. */
  const opened = new WeakMap<C, { readonly costMs: number; readonly atMs: number }>();
  /** Another thread waits, and none was idle: without this, jobs of this thread would pass a connection on for ever. */
  let isOwed = false;
  let isClosed = false;
  const stopListening = permits.onWanted(() => {
    isOwed = idle.size === 0;
    for (const connection of idle.keys()) if (hasPaid(connection)) void closeIdle(connection);
  });

  /** One that was slow to open, such as a process on a busy machine, works for a while before others open theirs. */
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
        ({ release }) => release(), // both came at once
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
    async giveBack(connection) {
      const isWanted = isOwed && waiting.size > 0 && hasPaid(connection);
      if (isWanted) isOwed = false;
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
