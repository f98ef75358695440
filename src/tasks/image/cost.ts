/** Estimates and bounds the time of the work on a picture. */
import { TaskError } from "../../pool/task.ts";
import type { SourceFormat } from "./format.ts";
import type { Plan, Source } from "./plan.ts";
import type { Size } from "./size.ts";
import type { TargetFormat } from "./target.ts";

/** Bound on the work of an attempt on its picture. */
export const maxSeconds = 60;

/** Bound on the estimated work in a thread, where it cannot be stopped when its attempt is cancelled. */
const maxThreadMs = 1000;

/**
 * Milliseconds per megapixel of noise, the worst case, on a core of 2025: to decode and scale, and to encode with the
 * options of `resizePicture`.
 */
const decodeMs: Readonly<Record<SourceFormat, number>> = { jpeg: 16, png: 25, webp: 100, avif: 470, gif: 15, tiff: 18 };
const encodeMs: Readonly<Record<TargetFormat, number>> = { jpeg: 26, png: 60, webp: 250, avif: 1700, gif: 600 };

/** Whether a thread may do the work. Not for AVIF and TIFF: they may need more work than their headers suggest. */
export function isQuick(source: Source, plan: Plan): boolean {
  return source.format !== "avif" && source.format !== "tiff" && estimateMs(source, plan) <= maxThreadMs;
}

export function timedOut(): TaskError {
  return new TaskError("resize_timed_out", `the picture took longer than ${maxSeconds} s`);
}

function estimateMs(source: Source, plan: Plan): number {
  const passes = source.format === "jpeg" ? Math.max(source.parts / 10, 1) : 1;
  const framesMs = megapixels(source) * decodeMs[source.format] * passes + megapixels(plan) * encodeMs[plan.format];
  return framesMs * plan.frames;
}

function megapixels({ width, height }: Size): number {
  return (width * height) / 1e6;
}
