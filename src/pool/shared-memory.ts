/**
 * Memory that a pool's threads share and that grows with the pool: a thread that has it sees what is added. Its address
 * space is reserved at once, but only what it has grown to takes memory.
 */

/** Most slots of a pool: twice as many as jobs that the configuration lets it run at once (`maxAtOnce` of config/rules.ts). */
export const maxSlots = 65_536;

/** Empty, with room for `maxSlots` of this size. */
export function growing(slotBytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(0, { maxByteLength: maxSlots * slotBytes });
}

/** Adds what it lacks. Only the main thread asks for more than there is. */
export function grownTo(shared: SharedArrayBuffer, bytes: number): void {
  if (shared.byteLength < bytes) shared.grow(bytes);
}
