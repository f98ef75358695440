/** The permits that a thread holds, and its half of handing them on. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Clock } from "../../clock.ts";
import { createSignal } from "../../lifecycle.ts";
import type { Permit, Permits } from "../resource.ts";
import type { FromThread, PermitsOf, ToThread } from "./protocol.ts";

export type ThreadPermits = {
  of(name: PermitsOf, limit: number): Permits;
  receive(message: Extract<ToThread, { readonly kind: "granted" | "wanted" | "unwanted" }>): void;
  /** An attempt has ended: what it used may be idle now. */
  ended(): void;
  /** Whether something waits for a permit of the resource. */
  isWaitingFor(resource: string): boolean;
};

/** How long a permit is kept at least: a connection that changes hands with every job would cost more than it carries. */
const sliceMs = 250;

type Line = PermitsOf & {
  readonly permits: string;
  readonly listeners: Set<() => void>;
  /** When each was granted by the monotonic clock, by number; the oldest first. */
  readonly held: Map<number, number>;
  /** When it may be asked for one, while others wait. */
  wantedMs: number | undefined;
  cancelLook: () => void;
};

export type ThreadPermitsParts = {
  readonly clock: Clock;
  readonly send: (message: FromThread) => void;
  /** Whether an attempt uses the resource now, and may hold permits of it for what is in use. */
  readonly isUsed: (resource: string) => boolean;
};

export function createThreadPermits({ clock, send, isUsed }: ThreadPermitsParts): ThreadPermits {
  const lines = new Map<string, Line>();
  /** Those that wait, by number. */
  const waiting = new Map<number, { readonly resource: string; readonly granted: () => void }>();
  let lastNumber = 0;

  function lineOf({ resource, permits }: PermitsOf): Line {
    const key = `${resource} ${permits}`; // neither has a space in it that would make two of them equal: names of resources have none
    let line = lines.get(key);
    if (!line) {
      line = { resource, permits, listeners: new Set(), held: new Map(), wantedMs: undefined, cancelLook() {} };
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
   * Asks for a permit that others wait for, as soon as that may be: also during an attempt, which may itself wait for a
   * permit that is kept, for something idle, by a thread that waits for one of this thread's.
   */
  function look(line: Line): void {
    line.cancelLook();
    const { wantedMs, held, listeners } = line;
    const [oldestMs] = held.values();
    if (wantedMs === undefined || oldestMs === undefined) return;
    const nowMs = clock.monotonicMs();
    const dueMs = Math.max(wantedMs, oldestMs + sliceMs);
    const isDue = nowMs >= dueMs;
    if (isDue) {
      // what is in use now may be idle as soon as the attempt ends; else what it closes has time to give its permit back
      if (!isUsed(line.resource)) line.wantedMs = nowMs + sliceMs;
      for (const listener of listeners) listener();
    }
    line.cancelLook = clock.after(isDue ? sliceMs : dueMs - nowMs, () => look(line));
  }

  return {
    of(name, limit) {
      const line = lineOf(name);
      return {
        limit,
        acquire: (signal) => acquire(line, signal),
        onWanted(listener) {
          if (line.listeners.size === 0) send({ kind: "listen", resource: line.resource, permits: line.permits });
          const own = AsyncLocalStorage.bind(listener); // when it fails, whoever set it is to blame
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
      look(line);
    },
    ended() {
      for (const line of lines.values()) if (line.wantedMs !== undefined) look(line);
    },
    isWaitingFor: (resource) => waiting.values().some((wait) => wait.resource === resource),
  };
}
