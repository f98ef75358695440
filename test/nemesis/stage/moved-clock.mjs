/**
 * Loaded into every thread of a server before its own code: `Date` is off by as many milliseconds as the file
 * NEMESIS_CLOCK says, and `performance.timeOrigin` by as many as it says now. `performance.now()` and timers stay as they are, as on a machine whose wall clock is set.
 * Plain JavaScript, because it is loaded before anything else.
 */
import { readFileSync } from "node:fs";

const path = process.env.NEMESIS_CLOCK;
const Real = Date;
const rereadMs = 10;
let offsetMs = 0;
let readAt = -Infinity;

function moved() {
  const at = performance.now();
  if (at - readAt > rereadMs) {
    readAt = at;
    offsetMs = Number(readFileSync(path, "utf8")) || 0;
  }
  return Real.now() + offsetMs;
}

globalThis.Date = class Date extends Real {
  constructor(...given) {
    if (given.length === 0) super(moved());
    else super(...given);
  }

  static now() {
    return moved();
  }
};

Object.defineProperty(performance, "timeOrigin", { value: performance.timeOrigin + moved() - Real.now() });
