/** The permits that a thread holds, and the thread's side of passing them to other threads. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Clock } from "../../clock.ts";
import { createSignal } from "../../lifecycle.ts";
import type { Permit, Permits } from "../resource.ts";
import type { FromThread, PermitsOf, ToThread } from "./protocol.ts";

export type ThreadPermits = {
  of(name: PermitsOf, limit: number): Permits;
  receive(message: Extract<ToThread, { readonly kind: "granted" | "wanted" | "unwanted" }>): void;
  /** An attempt has ended: its connections may be idle now. */
  ended(): void;
  /** Whether this thread waits for a permit of the resource. */
  isWaitingFor(resource: string): boolean;
};

/** Shortest time that a permit is kept: reopening connections for every job would cost more than the jobs. */
const sliceMs = 250;

type Line = PermitsOf & {
  readonly permits: string;
  readonly listeners: Set<() => void>;
  /** When each permit was granted (monotonic clock), by number; oldest first. */
  readonly held: Map<number, number>;
  /** While others wait: when this thread may be asked for a permit. */
  wantedMs: number | undefined;
  cancelCheck: () => void;
};

export type ThreadPermitsParts = {
  readonly clock: Clock;
  readonly send: (message: FromThread) => void;
  /** Whether an attempt uses the resource now, so that its permits may be in use. */
  readonly isUsed: (resource: string) => boolean;
};

export function createThreadPermits({ clock, send, isUsed }: ThreadPermitsParts): ThreadPermits {
  const lines = new Map<string, Line>();
  /** Requests that wait, by number. */
  const waiting = new Map<number, { readonly resource: string; readonly granted: () => void }>();
  let lastNumber = 0;

  function lineOf({ resource, permits }: PermitsOf): Line {
    const key = `${resource} ${permits}`; // unambiguous, because names of resources contain no spaces
    let line = lines.get(key);
    if (!line) {
      line = { resource, permits, listeners: new Set(), held: new Map(), wantedMs: undefined, cancelCheck() {} };
      lines.set(key, line);
    }
    return line;
  }

  function acquire(line: Line, signal: AbortSignal): Promise<Permit> {
    if (signal.aborted) return Promise.reject(signal.reason);
    lastNumber += 1;
    const number = lastNumber;
    const { promise, fire, fail } = createSignal<Permit>();
    const giveUp = () => {
      waiting.delete(number);
      send({ kind: "release", number });
      fail(signal.reason);
    };
    signal.addEventListener("abort", giveUp, { once: true });
    const granted = () => {
      signal.removeEventListener("abort", giveUp);
      line.held.set(number, clock.monotonicMs());
      fire({ release: () => void (line.held.delete(number) && send({ kind: "release", number })) });
    };
    waiting.set(number, { resource: line.resource, granted });
    send({ kind: "acquire", resource: line.resource, permits: line.permits, number });
    return promise;
  }

  /**
   * Calls the listeners for a permit that others wait for, as soon as allowed. Also during an attempt: otherwise two
   * threads could deadlock, each waiting for a permit that the other keeps for something idle.
   */
  function requestPermit(line: Line): void {
    line.cancelCheck();
    const { wantedMs, held, listeners } = line;
    const [oldestMs] = held.values();
    if (wantedMs === undefined || oldestMs === undefined) return;
    const nowMs = clock.monotonicMs();
    const dueMs = Math.max(wantedMs, oldestMs + sliceMs);
    const isDue = nowMs >= dueMs;
    if (isDue) {
      // during an attempt, asks again when it ends, because more may be idle then; otherwise waits, so that a closing
      // connection can release its permit
      if (!isUsed(line.resource)) line.wantedMs = nowMs + sliceMs;
      for (const listener of listeners) listener();
    }
    line.cancelCheck = clock.after(isDue ? sliceMs : dueMs - nowMs, () => requestPermit(line));
  }

  return {
    of(name, limit) {
      const line = lineOf(name);
      return {
        limit,
        acquire: (signal) => acquire(line, signal),
        onWanted(listener) {
          if (line.listeners.size === 0) send({ kind: "listen", resource: line.resource, permits: line.permits });
          const own = AsyncLocalStorage.bind(listener); // an error in it is attributed to the code that added it
          line.listeners.add(own);
          return () => void line.listeners.delete(own);
        },
      };
    },
    receive(message) {
      if (message.kind === "granted") {
        const wait = waiting.get(message.number);
        waiting.delete(message.number);
        return wait?.granted();
      }
      const line = lineOf(message);
      line.wantedMs = message.kind === "wanted" ? clock.monotonicMs() + message.afterMs : undefined;
      requestPermit(line);
    },
    ended() {
      for (const line of lines.values()) if (line.wantedMs !== undefined) requestPermit(line);
    },
    isWaitingFor: (resource) => waiting.values().some((wait) => wait.resource === resource),
  };
}
