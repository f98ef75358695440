/** The connections of one worker thread to one database: kept from job to job, each with a permit of the whole process. */
import { type Clock, systemClock } from "../../clock.ts";
import type { Permits } from "../../pool/resource.ts";
import type { Connection } from "./work.ts";

export type Connections = {
  /** Calls `work` with a connection that nothing else uses meanwhile. Waits for a permit where there are none idle. */
  use<T>(signal: AbortSignal, work: (connection: Connection) => Promise<T>): Promise<T>;
  /** Closes those that are idle, and each other one once it is. */
  close(): Promise<void>;
};

export type ConnectionsParts = {
  readonly open: (signal: AbortSignal) => Promise<Connection>;
  readonly permits: Permits;
  /** How long one stays open without work. */
  readonly idleMs: number;
  readonly clock?: Clock;
};

/** A connection is kept for this multiple of the time that opening it took, even if others wait, up to `longestPaidMs`. */
const costsPaid = 10;
const longestPaidMs = 10_000;

type Idle = { readonly connection: Connection; readonly cancelTimer: () => void };

export function createConnections({ open, permits, idleMs, clock = systemClock }: ConnectionsParts): Connections {
  let idle: Idle[] = [];
  let isClosed = false;
  /** What opening each cost, and when it was open. */
  const opened = new WeakMap<Connection, { readonly costMs: number; readonly atMs: number }>();
  const stopListening = permits.onWanted(() => void closeIdle(hasPaid));

  /** One that was dear to open, as a process on a busy machine, carries work for long enough before others open one. */
  function hasPaid(connection: Connection): boolean {
    const { costMs = 0, atMs = 0 } = opened.get(connection) ?? {};
    return clock.monotonicMs() - atMs >= Math.min(costMs * costsPaid, longestPaidMs);
  }

  async function openOne(signal: AbortSignal): Promise<Connection> {
    const permit = await permits.acquire(signal);
    const beganMs = clock.monotonicMs();
    try {
      const connection = await open(signal);
      const atMs = clock.monotonicMs();
      opened.set(connection, { costMs: atMs - beganMs, atMs });
      void connection.closed.then(() => {
        remove(connection);
        permit.release();
      });
      return connection;
    } catch (error) {
      permit.release();
      throw error;
    }
  }

  function remove(connection: Connection): void {
    idle = idle.filter((each) => {
      if (each.connection === connection) each.cancelTimer();
      return each.connection !== connection;
    });
  }

  function takeIdle(): Connection | undefined {
    const { connection, cancelTimer } = idle.pop() ?? {};
    cancelTimer?.();
    return connection?.isUsable() === false ? takeIdle() : connection;
  }

  function keep(connection: Connection): void {
    const cancelTimer = clock.after(idleMs, () => {
      remove(connection);
      void connection.close();
    });
    idle.push({ connection, cancelTimer });
  }

  async function closeIdle(isMeant: (connection: Connection) => boolean): Promise<void> {
    const closing = idle.filter(({ connection }) => isMeant(connection));
    idle = idle.filter(({ connection }) => !isMeant(connection));
    for (const { cancelTimer } of closing) cancelTimer();
    await Promise.all(closing.map(({ connection }) => connection.close()));
  }

  return {
    async use(signal, work) {
      const connection = takeIdle() ?? (await openOne(signal));
      try {
        return await work(connection);
      } finally {
        if (connection.isUsable() && !isClosed) keep(connection);
        else await connection.close();
      }
    },
    async close() {
      isClosed = true;
      stopListening();
      await closeIdle(() => true);
    },
  };
}
