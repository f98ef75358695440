/**
 * Memory that a pool's threads share and that grows with the pool: all threads see the added part. The address space is
 * reserved at once, but only the current size takes memory.
 */

/** Bound on the slots of a pool: twice the bound of the configuration on concurrent jobs (`maxAtOnce` of config/rules.ts). */
export const maxSlots = 65_536;

/** Creates empty shared memory with room for `maxSlots` slots of this size. */
export function growing(slotBytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(0, { maxByteLength: maxSlots * slotBytes });
}

/** Grows the memory to this size if it is smaller. Only the main thread requests more than there is. */
export function grownTo(shared: SharedArrayBuffer, bytes: number): void {
  if (shared.byteLength < bytes) shared.grow(bytes);
}
