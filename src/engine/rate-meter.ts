const rateSeconds = 10;

export type RateMeter = {
  /** `now` is monotonic. */
  count(now: number, events?: number): void;
  /** Events per second over the last ten whole seconds. */
  read(now: number): number;
};

/** One counter for each second. */
export function createRateMeter(): RateMeter {
  const counts = new Array<number>(rateSeconds + 1).fill(0);
  let second = 0;

  function turn(now: number): void {
    const present = Math.floor(now / 1000);
    const passed = Math.min(present - second, counts.length);
    for (let step = 1; step <= passed; step += 1) counts[(second + step) % counts.length] = 0;
    second = Math.max(present, second);
  }

  return {
    count(now, events = 1) {
      turn(now);
      counts[second % counts.length]! += events;
    },
    read(now) {
      turn(now);
      const present = counts[second % counts.length]!;
      return (counts.reduce((sum, count) => sum + count, 0) - present) / rateSeconds;
    },
  };
}
