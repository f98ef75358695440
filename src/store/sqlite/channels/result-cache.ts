/**
 * The latest unread endings of each channel, in memory. Most results are read right after they were written, and
 * reading and verifying their rows would cost the store more than a tenth of its time. Endings that are not here, or
 * are read again, are read from their rows.
 */
import type { Channel } from "./channels.ts";

/** One channel's endings, concatenated; their positions are consecutive. */
type Cached = {
  buffer: Uint8Array<ArrayBuffer>;
  /** Offsets of the first ending, and of the next one to add. */
  start: number;
  end: number;
  /** Position of the first ending. */
  first: number;
  sizes: number[];
};

export type CacheBounds = {
  /** Bound per channel, in bytes. */
  readonly perChannel: number;
  /** Bound on all channels, in bytes. */
  readonly total: number;
};

const defaultBounds: CacheBounds = { perChannel: 512 * 1024, total: 8 * 2 ** 20 };
const firstBytes = 512;

export type ResultCache = ReturnType<typeof createResultCache>;

export function createResultCache({ perChannel, total }: CacheBounds = defaultBounds) {
  const byChannel = new Map<number, Cached>();
  let allocated = 0;

  function forget(channel: number): void {
    allocated -= byChannel.get(channel)?.buffer.length ?? 0;
    byChannel.delete(channel);
  }

  /** The channel's entry, with room for this many more bytes; undefined: beyond the bounds. */
  function roomFor(id: number, bytes: number): Cached | undefined {
    const known = byChannel.get(id);
    if (known && known.end + bytes <= known.buffer.length) return known;
    const held = known ? known.end - known.start : 0;
    const size = 2 ** Math.ceil(Math.log2(Math.max(firstBytes, 2 * held, held + bytes)));
    if (size > perChannel) return undefined;
    const buffer = new Uint8Array(size);
    if (known) buffer.set(known.buffer.subarray(known.start, known.end));
    forget(id);
    if (allocated + size > total) for (const each of byChannel.keys()) forget(each);
    allocated += size;
    const made = { buffer, start: 0, end: held, first: known?.first ?? 0, sizes: known?.sizes ?? [] };
    byChannel.set(id, made);
    return made;
  }

  return {
    /** Adds the ending at the channel's last position. */
    add({ id, last, name }: Channel, ending: Uint8Array): void {
      if (name === null) return; // discarded results are never read
      const cached = roomFor(id, ending.length);
      if (!cached) return forget(id);
      if (cached.sizes.length === 0) cached.first = last;
      cached.buffer.set(ending, cached.end);
      cached.end += ending.length;
      cached.sizes.push(ending.length);
    },

    /**
     * Removes and returns the endings after a position, concatenated: at most `limit`, and at most `maxBytes` unless
     * the first alone is larger. Undefined: the next one is not here, or there is none.
     */
    take({ id }: Channel, after: number, limit: number, maxBytes: number) {
      const cached = byChannel.get(id);
      if (!cached || after + 1 < cached.first) return undefined;
      const { buffer, sizes, first } = cached;
      const skipped = Math.min(after + 1 - first, sizes.length);
      let start = cached.start;
      for (let index = 0; index < skipped; index += 1) start += sizes[index]!;
      let end = start;
      let next = skipped;
      while (next < sizes.length && next - skipped < limit) {
        if (next > skipped && end + sizes[next]! - start > maxBytes) break;
        end += sizes[next]!;
        next += 1;
      }
      cached.first += next;
      cached.sizes = sizes.slice(next);
      cached.start = cached.sizes.length === 0 ? 0 : end;
      if (cached.sizes.length === 0) cached.end = 0;
      const cursors = Array.from({ length: next - skipped }, (_, index) => first + skipped + index);
      return cursors.length === 0
        ? undefined
        : { cursors, sizes: sizes.slice(skipped, next), endings: [buffer.subarray(start, end)] };
    },

    forget,
  };
}
