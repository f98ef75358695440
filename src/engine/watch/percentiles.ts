/** Percentiles of durations over a sliding window. */

/** Durations in milliseconds; null: nothing was measured. */
export type Percentiles = { readonly p50: number; readonly p90: number; readonly p99: number } | null;

export type DurationWindow = {
  /** `now` is monotonic. */
  record(ms: number, now: number): void;
  /** Percentiles of everything recorded in the last minute, and of nothing older than two. */
  percentiles(now: number): Percentiles;
};

/** Percentiles cover the current window and the previous one. */
const windowMs = 60_000;
/** Longer durations count as this: 19 hours. */
const longestMicros = 2 ** 36;

type Counted = { readonly counts: Uint32Array; total: number };

/** Shorter durations, also negative ones, count as this. */
const shortestMicros = 1;

/**
 * Buckets as in HdrHistogram (https://hdrhistogram.org): each power of two of microseconds is divided into `2 ** bits`
 * equal parts, so that the error of a percentile is at most `1 / 2 ** (bits + 1)` of its value. An empty window takes
 * no memory.
 */
export function createDurationWindow(bits: number, startedAt: number): DurationWindow {
  let current: Counted | null = null;
  let previous: Counted | null = null;
  let windowEndsAt = startedAt + windowMs;

  function turn(now: number): void {
    if (now < windowEndsAt) return;
    const isOver = now >= windowEndsAt + windowMs;
    previous = isOver ? null : current;
    current = null;
    windowEndsAt = isOver ? now + windowMs : windowEndsAt + windowMs;
  }

  return {
    record(ms, now) {
      if (now >= windowEndsAt) turn(now);
      current ??= { counts: new Uint32Array(indexOf(longestMicros, bits) + 1), total: 0 };
      const micros = Math.min(Math.max(shortestMicros, Math.round(ms * 1000)), longestMicros);
      current.counts[indexOf(micros, bits)]! += 1;
      current.total += 1;
    },
    percentiles(now) {
      turn(now);
      const total = (current?.total ?? 0) + (previous?.total ?? 0);
      if (total === 0) return null;
      const [p50 = 0, p90 = 0, p99 = 0] = ranked(
        current ?? previous!,
        previous,
        shares.map((share) => share * total),
        bits,
      );
      return { p50, p90, p99 };
    },
  };
}

const shares = [0.5, 0.9, 0.99];

/** The value at each rank, in milliseconds; `ranks` must ascend. A plain loop, because it reads a thousand buckets. */
function ranked(one: Counted, other: Counted | null, ranks: readonly number[], bits: number): number[] {
  const values: number[] = [];
  const counts = one.counts;
  const more = other && other !== one ? other.counts : undefined;
  let seen = 0;
  for (let index = 0; index < counts.length && values.length < ranks.length; index += 1) {
    seen += counts[index]! + (more ? more[index]! : 0);
    while (values.length < ranks.length && seen >= ranks[values.length]!) values.push(middleOf(index, bits) / 1000);
  }
  return values;
}

function indexOf(micros: number, bits: number): number {
  if (micros >= 2 ** 32) {
    const far = 63 - Math.clz32(micros / 2 ** 32) - bits; // shifts work on 32 bits
    return (far << bits) + Math.floor(micros / 2 ** far);
  }
  const shift = 31 - Math.clz32(micros) - bits;
  return shift <= 0 ? micros : (shift << bits) + (micros >>> shift);
}

function middleOf(index: number, bits: number): number {
  const parts = 2 ** bits;
  if (index < 2 * parts) return index;
  const shift = Math.floor(index / parts) - 1;
  const size = 2 ** shift;
  return (index - shift * parts) * size + (size - 1) / 2;
}
