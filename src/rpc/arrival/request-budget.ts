/**
 * The memory of arriving requests: one budget for both ports, for all bytes that were received and not yet handed over.
 * A message of more than 16 KiB reserves its whole size before more of it is read. So every message that has started
 * can finish, and no two messages wait for each other. Half of the budget is for reservations. The other half is for
 * bytes without a reservation: small messages, and what clients send before flow control stops them. When that half is
 * full, the requests of the connection that holds most of it are cut off, then those of the next. A request that makes
 * no progress is also cut off, and so is one that keeps its reservation for too long while others wait.
 */
import type { Clock } from "../../clock.ts";
import { createReadBudget } from "../../engine/deliver/read-budget.ts";
import { createLoop } from "../../lifecycle.ts";
import type { Log } from "../../log.ts";
import { guarded, ignore } from "../boundary.ts";
import { type Arrival, checksPerStall, createRequestBody, type CutReason, type RequestBody } from "./request-body.ts";

export type RequestBudget = {
  /** Counts a request whose body starts to arrive. */
  open(arrival: Arrival): RequestBody;
  /** Calls `open` for a request that has not ended after a while; most have, and cost next to nothing. */
  openLater(request: Later): void;
  /** Counts bytes of a request that is opened later. When the budget has no room for them, all such requests are opened. */
  hold(request: Later, bytes: number): void;
  /** Removes a request that its owner opens, or that has ended. Safe to repeat. */
  forget(request: Later): void;
  /** Bytes that all requests hold now. */
  heldBytes(): number;
};

/** `bytes`: held before the request is opened; only the budget changes it. */
type Later = { bytes: number; open(): void };

export type RequestBudgetOptions = {
  /** Half of it is for reservations, half for bytes without one. */
  readonly bytes: number;
  /** A request must make progress, and a message with a reservation must be complete while others wait, within this time. */
  readonly stallMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Called for each request that is cut off. */
  readonly onCut: (reason: CutReason) => void;
};

/** A connection, and its requests that hold bytes outside of the reservations. */
type Connection = { readonly name: string; readonly requests: Set<RequestBody>; outsideBytes: number };

/** Delay before requests are cut: long enough for complete ones whose end comes in the next packet to leave. */
const makeSpaceAfterMs = 50;

export function createRequestBudget({ bytes, stallMs, clock, log, onCut }: RequestBudgetOptions): RequestBudget {
  const messages = createReadBudget(bytes / 2);
  const maxOutsideBytes = bytes / 2;
  const open = new Set<RequestBody>();
  /** Opened by the second check after their arrival. */
  let young = new Set<Later>();
  let old = new Set<Later>();
  const connections = new WeakMap<object, Connection>();
  /** Connections that hold bytes outside of the reservations. */
  const crowd = new Set<Connection>();
  let connectionCount = 0;
  let outsideBytes = 0;
  /** Bytes of the requests that are opened later. */
  let unopenedBytes = 0;
  let waiting = 0;
  let isMakingSpace = false;

  function connectionOf(key: object): Connection {
    let connection = connections.get(key);
    if (!connection) {
      connectionCount += 1;
      connection = { name: String(connectionCount), requests: new Set(), outsideBytes: 0 };
      connections.set(key, connection);
    }
    return connection;
  }

  function holdOutside(key: object, request: RequestBody, from: number, to: number): void {
    const connection = connectionOf(key);
    outsideBytes += to - from;
    connection.outsideBytes += to - from;
    if (to > 0) connection.requests.add(request);
    else connection.requests.delete(request);
    if (connection.requests.size > 0) crowd.add(connection);
    else crowd.delete(connection);
    if (outsideBytes <= maxOutsideBytes || isMakingSpace) return;
    isMakingSpace = true;
    clock.after(makeSpaceAfterMs, makeSpace);
  }

  /** Cuts the requests of the connection that holds most outside of the reservations, then of the next, until the rest fits. */
  function makeSpace(): void {
    isMakingSpace = false;
    for (const connection of [...crowd].sort((one, other) => other.outsideBytes - one.outsideBytes)) {
      if (outsideBytes <= maxOutsideBytes) return;
      for (const request of [...connection.requests]) request.cut("crowded_out");
    }
  }

  const openLate = guarded(log, "opening a request", (request: Later) => request.open(), ignore);

  function openAll(requests: ReadonlySet<Later>): void {
    for (const each of requests) {
      unopenedBytes -= each.bytes;
      openLate(each);
    }
  }

  const stallCheck = createLoop({
    ...{ name: "check for stalled requests", clock, everyMs: stallMs / checksPerStall, startsAtOnce: true },
    round() {
      for (const body of [...open]) body.checkStall(waiting > 0);
      const due = old;
      old = young;
      young = new Set();
      openAll(due);
      return open.size + young.size + old.size === 0 ? Number.POSITIVE_INFINITY : undefined;
    },
  });
  void stallCheck.start();

  return {
    open(arrival) {
      const body = createRequestBody(arrival, {
        ...{ log, onCut },
        reserve: (needed) => messages.reserve(connectionOf(arrival.connection).name, needed),
        holdOutside: (from, to) => holdOutside(arrival.connection, body, from, to),
        addWaiting(change) {
          waiting += change;
        },
        onEnd: () => open.delete(body),
      });
      open.add(body);
      stallCheck.wake();
      return body;
    },
    openLater(request) {
      young.add(request);
      stallCheck.wake();
    },
    hold(request, bytes) {
      request.bytes += bytes;
      unopenedBytes += bytes;
      if (outsideBytes + unopenedBytes <= maxOutsideBytes) return;
      const due = [old, young];
      old = new Set();
      young = new Set();
      for (const each of due) openAll(each);
    },
    heldBytes: () => messages.reservedBytes() + outsideBytes + unopenedBytes,
    forget(request) {
      if (young.delete(request) || old.delete(request)) unopenedBytes -= request.bytes;
    },
  };
}
