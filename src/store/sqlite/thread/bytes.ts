/**
 * Payload bytes on their way between threads: all of a batch end to end in one buffer, which is handed over and not
 * copied. Cloning one small buffer per job would cost more than storing the job.
 */
export type BytesWriter = { put(bytes: Uint8Array): void; readonly parts: readonly Uint8Array[] };
export type BytesReader = {
  /** The next `size` bytes, as a view. They must be taken in the order in which they were put. */
  take(size: number): Uint8Array;
};

export function createBytesWriter(): BytesWriter {
  const parts: Uint8Array[] = [];
  return { parts, put: (bytes) => void parts.push(bytes) };
}

export function createBytesReader(bytes: Uint8Array): BytesReader {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length); // so that WireReader needs no view of its own
  let offset = 0;
  return {
    take: (size) => {
      const taken = all.subarray(offset, offset + size);
      offset += size;
      return taken;
    },
  };
}

/** What the writers were given, in order, in one buffer of its own. */
export function joinBytes(writers: readonly BytesWriter[]): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const { parts } of writers) for (const part of parts) size += part.length;
  const joined = new Uint8Array(new ArrayBuffer(size));
  let offset = 0;
  for (const { parts } of writers) {
    for (const part of parts) {
      joined.set(part, offset);
      offset += part.length;
    }
  }
  return joined;
}
