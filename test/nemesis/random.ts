/** Chance that repeats: the same seed draws the same numbers on every machine (xorshift128+ is more than a schedule needs). */
export type Random = {
  /** In [0, 1). */
  next(): number;
  /** A whole number from `low` to `high`, both included. */
  integer(low: number, high: number): number;
  /** True in `share` of the draws. */
  isLucky(share: number): boolean;
  pick<T>(from: readonly T[]): T;
  /** A source of its own, so that what one part draws does not shift what another gets. */
  fork(name: string): Random;
};

export function createRandom(seed: number | string): Random {
  let [a, b] = seedsOf(String(seed));

  function next(): number {
    let x = a;
    const y = b;
    a = y;
    x ^= x << 23;
    x ^= x >>> 17;
    x ^= y ^ (y >>> 26);
    b = x;
    return ((x + y) >>> 0) / 2 ** 32;
  }

  for (let warmUp = 0; warmUp < 20; warmUp++) next();
  const integer = (low: number, high: number) => low + Math.floor(next() * (high - low + 1));
  return {
    next,
    integer,
    isLucky: (share) => next() < share,
    pick: (from) => from[integer(0, from.length - 1)]!,
    fork: (name) => createRandom(`${seed}/${name}`),
  };
}

/** Two numbers that are not both zero, from any text (FNV-1a). */
function seedsOf(text: string): [number, number] {
  const hash = (start: number) => {
    let value = start;
    for (const letter of text) value = Math.imul(value ^ letter.codePointAt(0)!, 16_777_619);
    return value | 1;
  };
  return [hash(2_166_136_261), hash(84_696_351)];
}
