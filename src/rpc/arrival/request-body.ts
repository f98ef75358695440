/** One arriving request: how much memory it holds, whether it is paused, and when it is cut off. */
import type { Reservation } from "../../engine/deliver/read-budget.ts";
import type { Log } from "../../log.ts";
import { guarded, ignore } from "../boundary.ts";
import { type Framing, smallBytes } from "./framing.ts";

export type Arrival = {
  /** The connection of the request. Connections share the budget fairly: they take turns, and there is room for a new one. */
  readonly connection: object;
  readonly framing: Framing;
  /**
   * When a message is handed over: as soon as it is `complete`, when its reader has `taken` it, or at the `end` of the
   * request, which a client may hold back.
   */
  readonly handsOver: "complete" | "taken" | "end";
  /** Bytes that may still arrive and wait in buffers while the request is paused. */
  readonly pausedBytes: number;
  /** Stops reading until `resume`. */
  pause(): void;
  resume(): void;
  /** Ends the request. */
  cut(): void;
};

/**
 * `stalled`: too few bytes arrived in time. `fragmented`: too many tiny pieces. `crowded_out`: the budget is full, and
 * its connection holds the most.
 */
export type CutReason = "stalled" | "fragmented" | "crowded_out";

/** None of these throws: an error is logged and ends only this request. */
export type RequestBody = {
  /** These bytes arrived and are passed to the reader. */
  received(chunk: Uint8Array): void;
  /** The reader has taken a message; for `handsOver: "taken"`. */
  taken(): void;
  /** Releases everything that the request holds. Safe to repeat. */
  end(): void;
  cut(reason: CutReason): void;
  /** Cuts the request if it has stalled; called `checksPerStall` times in `slowSenderMs`. `isCrowded`: others wait for room. */
  checkStall(isCrowded: boolean): void;
};

/** What a body needs from the budget. */
export type BodyBudget = {
  readonly log: Log;
  reserve(bytes: number): Reservation;
  /** The bytes that it holds outside of its reservation change. */
  holdOutside(from: number, to: number): void;
  addWaiting(change: 1 | -1): void;
  onCut(reason: CutReason): void;
  onEnd(): void;
};

/**
 * Time without progress is counted in checks. What arrived while the server itself stood still is read between two checks, so
 * no client is cut for it.
 */
export const checksPerStall = 10;
/** At least this much, or the end of the request, must arrive within that many checks. */
const progressBytes = 16 * 1024;
/** Bound on the tiny pieces of a message: each costs about 100 bytes beside its content. */
const maxTinyPieces = 512;
const tinyBytes = 256;

export function createRequestBody(arrival: Arrival, budget: BodyBudget): RequestBody {
  const { framing, handsOver, pausedBytes } = arrival;
  const { log } = budget;
  /** Sizes of the messages that are complete and not handed over, in order. */
  const complete: number[] = [];
  let completeBytes = 0;
  let reservation: Reservation | undefined;
  let reservedBytes = 0;
  let checksReserved = 0;
  let outsideBytes = 0;
  let tinyPieces = 0;
  let progress = 0;
  let checksIdle = 0;
  let isWaiting = false;
  let isPaused = false;
  let isEnded = false;
  const guard = <Args extends readonly unknown[]>(handler: (...args: Args) => void) =>
    guarded(log, "counting a request", handler, abandon);
  const onGranted = guard(granted);

  /** Reserves the memory that the request holds and will hold, and resumes reading once that is granted. */
  function settle(): void {
    const needed = completeBytes + framing.begun();
    const isBehind = handsOver === "taken" && completeBytes > smallBytes; // its reader is busy with earlier messages
    if (needed <= smallBytes) leave();
    else if (needed < reservedBytes || (needed > reservedBytes && !isBehind)) ask(needed);
    const fits = needed <= smallBytes || (!isWaiting && needed <= reservedBytes);
    setPaused(!fits || isBehind);
    setOutside((fits && reservation ? 0 : Math.min(needed, smallBytes + completeBytes)) + (isPaused ? pausedBytes : 0));
  }

  function ask(needed: number): void {
    if (reservation?.isGranted() && reservation.resize(needed)) {
      reservedBytes = needed;
      return;
    }
    leave();
    const asked = budget.reserve(needed);
    reservation = asked;
    reservedBytes = needed;
    checksReserved = 0;
    if (asked.isGranted()) return;
    setWaiting(true);
    void asked.granted.then(() => onGranted(asked));
  }

  function granted(asked: Reservation): void {
    if (reservation !== asked) return;
    checksReserved = 0;
    setWaiting(false);
    settle();
  }

  function leave(): void {
    setWaiting(false);
    reservation?.release();
    reservation = undefined;
    reservedBytes = 0;
  }

  function setWaiting(to: boolean): void {
    if (to !== isWaiting) budget.addWaiting(to ? 1 : -1);
    isWaiting = to;
  }

  function setPaused(to: boolean): void {
    if (to)
      arrival.pause(); // even if it is paused already: a reader may have resumed it
    else if (isPaused) arrival.resume();
    if (isPaused && !to) checksIdle = 0;
    isPaused = to;
  }

  function setOutside(to: number): void {
    if (to !== outsideBytes) budget.holdOutside(outsideBytes, to);
    outsideBytes = to;
  }

  function countProgress(bytes: number, hasBegun: boolean): void {
    progress += bytes;
    if (!hasBegun && progress < progressBytes) return;
    progress = 0;
    checksIdle = 0;
  }

  function end(): void {
    if (isEnded) return;
    isEnded = true;
    leave();
    setOutside(0);
    budget.onEnd();
    setPaused(false); // its reader drops what still arrives
  }

  function cut(reason: CutReason): void {
    if (isEnded) return;
    end();
    budget.onCut(reason);
    arrival.cut();
  }

  /** Ends the request after an error, even if cleaning up fails. */
  function abandon(): void {
    guarded(log, "the end of a request", end, ignore)();
    guarded(log, "cutting a request", arrival.cut, ignore)();
  }

  return {
    end: guard(end),
    cut: guard(cut),
    received: guard((chunk: Uint8Array) => {
      if (isEnded) return;
      const wasBetween = framing.begun() === 0;
      const completed = framing.read(chunk);
      if (framing.isTooLarge()) return end(); // its reader refuses it without buffering it
      if (completed.length > 0) tinyPieces = 0;
      else if (chunk.length < tinyBytes && (tinyPieces += 1) > maxTinyPieces) return cut("fragmented");
      countProgress(chunk.length, wasBetween || completed.length > 0);
      if (handsOver !== "complete") {
        complete.push(...completed);
        for (const bytes of completed) completeBytes += bytes;
      }
      settle();
    }),
    taken: guard(() => {
      if (isEnded) return;
      completeBytes -= complete.shift() ?? 0;
      settle();
    }),
    checkStall: guard((isCrowded: boolean) => {
      checksReserved += 1;
      checksIdle += 1;
      const isArriving = handsOver === "end" || framing.begun() > 0;
      if (isPaused || !isArriving) return;
      const isInTheWay = isCrowded && reservedBytes > 0 && checksReserved > checksPerStall;
      if (isInTheWay || checksIdle > checksPerStall) cut("stalled");
    }),
  };
}
