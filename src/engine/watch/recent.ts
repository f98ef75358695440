/** Values by name, for the names that were used last. */
export type Recent<V> = {
  /**
   * The name's value, created if there is none. Beyond the limit, the least recently used name is removed. `now` is
   * monotonic.
   */
  use(name: string, now: number): V;
  /** Like `use`, but a new name only replaces one that was not used for `quietMs`, give or take a second. */
  useIfQuiet(name: string, now: number, quietMs: number): V | undefined;
  /** The value, without counting as use. */
  get(name: string): V | undefined;
  /** Removes the name and returns its value. */
  take(name: string): V | undefined;
  values(): readonly V[];
  size(): number;
};

type Entry<V> = { readonly name: string; readonly value: V; usedAt: number };

/** How long a name may be out of order, so that a busy one is not moved with each use. */
const orderMs = 1_000;

export function createRecent<V>(limit: number, make: (name: string, now: number) => V): Recent<V> {
  /** Least recently used first. */
  const entries = new Map<string, Entry<V>>();
  /** One name is often used many times in a row. */
  let last: Entry<V> | undefined;
  /** No name is quiet before this time. */
  let quietAt = 0;

  const find = (name: string) => (last?.name === name ? last : entries.get(name));

  function use(name: string, now: number): V {
    const known = find(name);
    if (known && now - known.usedAt < orderMs) return (last = known).value;
    const entry = known ?? { name, value: make(name, now), usedAt: now };
    entry.usedAt = now;
    entries.delete(name);
    entries.set(name, entry);
    if (entries.size > limit) {
      const [oldest] = entries.keys();
      entries.delete(oldest!);
    }
    return (last = entry).value;
  }

  return {
    use,
    useIfQuiet(name, now, quietMs) {
      if (entries.size < limit || find(name)) return use(name, now);
      if (now < quietAt) return undefined;
      const [oldest] = entries.values();
      quietAt = oldest!.usedAt + quietMs;
      return now < quietAt ? undefined : use(name, now);
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
