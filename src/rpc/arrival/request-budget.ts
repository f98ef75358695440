/**
 * The memory of requests that arrive: one budget for all bytes, of both ports, that were received and are not handed over
 * yet. A message that needs more than a little waits for room before it is read on, and then has room for all of it: so
 * what has begun can end, and no message waits for another that waits for it. What room cannot bound is cut.
 */
import type { Clock } from "../../clock.ts";
import { createReadBudget } from "../../engine/deliver/read-budget.ts";
import type { Log } from "../../log.ts";
import { type Arrival, createRequestBody, type CutReason, type RequestBody } from "./request-body.ts";

export type RequestBudget = {
  /** A request whose body begins to arrive. */
  open(arrival: Arrival): RequestBody;
  /** Calls `open` for a request that is still there after a while; most are gone before, and cost next to nothing. */
  openLater(request: Later): void;
  /** What a request holds that is opened later. All such requests are opened at once when the budget has no room for this. */
  hold(request: Later, bytes: number): void;
  /** It is opened by its owner, or it has ended. Safe to call again. */
  forget(request: Later): void;
  /** Bytes that all requests hold now. */
  heldBytes(): number;
};

/** `bytes`: what it holds before it is opened, which only the budget changes. */
type Later = { bytes: number; open(): void };

export type RequestBudgetOptions = {
  /** Half of it is room for messages; half for what reserves nothing: small messages, and what is sent while others wait. */
  readonly bytes: number;
  /** A request must make progress, and a message that has room while others wait must be complete, within this time. */
  readonly stallMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Called for each request that is cut. */
  readonly onCut: (reason: CutReason) => void;
};

/** A connection, and those of its requests that hold bytes outside of the reservations. */
type Connection = { readonly name: string; readonly requests: Set<RequestBody>; outsideBytes: number };

const checksPerStall = 10;
/** Requests that are complete, and end in the next packet, are gone by then. */
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
  /** What requests hold that are opened later. */
  let unopenedBytes = 0;
  let waiting = 0;
  let isCheckDue = false;
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

  function openAll(requests: ReadonlySet<Later>): void {
    for (const each of requests) {
      unopenedBytes -= each.bytes;
      each.open();
    }
  }

  function checkLater(): void {
    if (isCheckDue || open.size + young.size + old.size === 0) return;
    isCheckDue = true;
    clock.after(stallMs / checksPerStall, () => {
      isCheckDue = false;
      for (const body of [...open]) body.checkStall(waiting > 0);
      const due = old;
      old = young;
      young = new Set();
      openAll(due);
      checkLater();
    });
  }

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
      checkLater();
      return body;
    },
    openLater(request) {
      young.add(request);
      checkLater();
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
