/** Values by name, of those names that were used last. */
export type Recent<V> = {
  /** The name's value, made when there is none. Beyond the limit, the name that was used longest ago goes. `now` is monotonic. */
  use(name: string, now: number): V;
  /** Without using it. */
  get(name: string): V | undefined;
  /** Forgets the name, and returns its value. */
  take(name: string): V | undefined;
  values(): readonly V[];
  size(): number;
};

type Entry<V> = { readonly name: string; readonly value: V; usedAt: number };

/** How long a name may be out of its place in the order of use, so that who is busy is not moved each time. */
const orderMs = 1_000;

export function createRecent<V>(limit: number, make: (name: string, now: number) => V): Recent<V> {
  /** In the order of use. */
  const entries = new Map<string, Entry<V>>();
  /** One name is often used many times in a row. */
  let last: Entry<V> | undefined;

  return {
    use(name, now) {
      const known = last?.name === name ? last : entries.get(name);
      last = known;
      if (known && now - known.usedAt < orderMs) return known.value;
      const entry = known ?? { name, value: make(name, now), usedAt: now };
      entry.usedAt = now;
      entries.delete(name);
      entries.set(name, entry);
      if (entries.size > limit) {
        const [oldest] = entries.keys();
        entries.delete(oldest!);
      }
      last = entry;
      return entry.value;
    },
    get: (name) => entries.get(name)?.value,
    take(name) {
      const entry = entries.get(name);
      entries.delete(name);
      if (last === entry) last = undefined;
      return entry?.value;
    },
    values: () => [...entries.values()].map(({ value }) => value),
    size: () => entries.size,
  };
}
