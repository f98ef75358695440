const rateSeconds = 10;

export type RateMeter = {
  /** `now` is monotonic. */
  count(now: number, events: number): void;
  /** Events per second over the last ten whole seconds. */
  read(now: number): number;
};

/** One counter for each second. */
export function createRateMeter(): RateMeter {
  const counts = new Array<number>(rateSeconds + 1).fill(0);
  let second = 0;
  let endsAt = 0;
  let slot = 0;

  function turn(now: number): void {
    const present = Math.max(Math.floor(now / 1000), second);
    const passed = Math.min(present - second, counts.length);
    for (let step = 1; step <= passed; step += 1) counts[(second + step) % counts.length] = 0;
    second = present;
    endsAt = (present + 1) * 1000;
    slot = present % counts.length;
  }

  return {
    count(now, events) {
      if (now >= endsAt) turn(now);
      counts[slot]! += events;
    },
    read(now) {
      if (now >= endsAt) turn(now);
      return (counts.reduce((sum, count) => sum + count, 0) - counts[slot]!) / rateSeconds;
    },
  };
}
