/**
 * The memory of arriving requests: one budget, for both ports, for all bytes that were received and not yet handed over.
 * A message of more than 16 KiB reserves its whole size before it is read on. So whatever has begun can finish, and no two
 * messages wait for each other. Half of the budget is for reservations. The other half is for what reserves nothing: small
 * messages, and what clients send before they notice that they are not read. When that half is full, the requests of the
 * connection that holds most of it are cut, then those of the next. A request that makes no progress is cut too, and so is one
 * that keeps its reservation for too long while others wait.
 */
import type { Clock } from "../../clock.ts";
import { createReadBudget } from "../../engine/deliver/read-budget.ts";
import { createLoop } from "../../lifecycle.ts";
import type { Log } from "../../log.ts";
import { guarded, ignore } from "../boundary.ts";
import { type Arrival, createRequestBody, type CutReason, type RequestBody } from "./request-body.ts";

export type RequestBudget = {
  /** A request whose body begins to arrive. */
  open(arrival: Arrival): RequestBody;
  /** Calls `open` for a request that is still there after a while; most have ended by then, and cost next to nothing. */
  openLater(request: Later): void;
  /** A request that is opened later holds these bytes. When the budget has no room for them, all such requests are opened. */
  hold(request: Later, bytes: number): void;
  /** Its owner opens it, or it has ended. Safe to call again. */
  forget(request: Later): void;
  /** Bytes that all requests hold now. */
  heldBytes(): number;
};

/** `bytes`: what it holds before it is opened, which only the budget changes. */
type Later = { bytes: number; open(): void };

export type RequestBudgetOptions = {
  /** Half of it is for reservations, half for what reserves nothing. */
  readonly bytes: number;
  /** A request must make progress, and a message with a reservation must be complete while others wait, within this time. */
  readonly stallMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Called for each request that is cut. */
  readonly onCut: (reason: CutReason) => void;
};

/** A connection, and those of its requests that hold bytes outside of the reservations. */
type Connection = { readonly name: string; readonly requests: Set<RequestBody>; outsideBytes: number };

const checksPerStall = 10;
/** Complete requests whose end comes in the next packet are gone by then. */
const makeSpaceAfterMs = 50;

export function createRequestBudget({ bytes, stallMs, clock, log, onCut }: RequestBudgetOptions): RequestBudget {
  const messages = createReadBudget(bytes / 2);
  const maxOutsideBytes = bytes / 2;
  const open = new Set<RequestBody>();
  /** To be opened by the second check after they came. */
  let young = new Set<Later>();
  let old = new Set<Later>();
  const connections = new WeakMap<object, Connection>();
  /** Those that hold bytes outside of the reservations. */
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
        ...{ clock, log, stallMs, onCut },
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
