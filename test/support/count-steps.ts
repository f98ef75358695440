/** What an action costs, whatever the machine: no elapsed time. */

const collections = [Map.prototype, Set.prototype] as const;

/** How many elements of maps and sets are visited by loops while this runs. */
export function countSteps(action: () => void): number {
  let steps = 0;
  const originals = collections.map((prototype) => prototype[Symbol.iterator]);
  collections.forEach((prototype, index) => {
    Object.defineProperty(prototype, Symbol.iterator, {
      configurable: true,
      writable: true,
      *value(this: unknown): Generator {
        const elements = Reflect.apply(originals[index] as () => Iterator<unknown>, this, []);
        for (let next = elements.next(); !next.done; next = elements.next()) {
          steps += 1;
          yield next.value;
        }
      },
    });
  });
  try {
    action();
  } finally {
    collections.forEach((prototype, index) => {
      Object.defineProperty(prototype, Symbol.iterator, {
        configurable: true,
        writable: true,
        value: originals[index],
      });
    });
  }
  return steps;
}
