/** A chunk as it is sent to a thread. */
import type { Lease } from "../job/job.ts";
import type { Chunk, ChunkJob } from "./chunk.ts";
import type { Slot } from "./slots.ts";

/** From this size on an input is handed over instead of cloned; below, the handing over costs more. */
const transferFromBytes = 16 * 1024;

export function chunkOf({ index: slot, number, leases }: Pick<Slot, "index" | "number" | "leases">): Chunk {
  return { slot, number, jobs: leases.map(jobOf) };
}

function jobOf({ seq, id, task, attempt, input, options, expiresAt, trace, fence }: Lease): ChunkJob {
  const timeoutMs = options?.timeoutMs;
  const bounds = timeoutMs === undefined && expiresAt === null ? null : { timeoutMs, expiresAt };
  if (trace === null && fence === attempt) return [seq, id, task, attempt, input, bounds];
  return [seq, id, task, attempt, input, bounds, trace, fence];
}

/**
 * Buffers that are cheaper to hand over than to clone. Only the first job's: those behind it may be taken back and run
 * elsewhere, input and all. A view stays: its buffer may belong to others too.
 */
export function largeInputs([first]: readonly Lease[]): ArrayBuffer[] {
  const bytes = first?.input?.bytes;
  if (!bytes || bytes.length < transferFromBytes || bytes.length !== bytes.buffer.byteLength) return [];
  return [bytes.buffer as ArrayBuffer];
}
