/** Builds the chunk that is sent to a thread. */
import { type Chunk, jobCells } from "./chunk.ts";
import type { Slot } from "./slots.ts";

/** Records of at least this size are transferred instead of cloned; for smaller ones, a transfer costs more. */
const transferFromBytes = 16 * 1024;

export function chunkOf({ index: slot, number, leases }: Pick<Slot, "index" | "number" | "leases">): Chunk {
  const jobs = new Float64Array(leases.length * jobCells);
  let size = 0;
  for (const { record } of leases) size += record.length;
  const records = new Uint8Array(size);
  let end = 0;
  let cell = 0;
  for (const { seq, attempt, fence, expiresAt, record } of leases) {
    records.set(record, end);
    end += record.length;
    jobs[cell] = seq;
    jobs[cell + 1] = attempt;
    jobs[cell + 2] = fence;
    jobs[cell + 3] = expiresAt ?? Number.POSITIVE_INFINITY;
    jobs[cell + 4] = end;
    cell += jobCells;
  }
  return { slot, number, jobs, records };
}

/** Buffers that are cheaper to transfer than to clone. They belong to the chunk: the leases keep their own records. */
export function handedOver({ records }: Chunk): ArrayBuffer[] {
  return records.length < transferFromBytes ? [] : [records.buffer];
}
