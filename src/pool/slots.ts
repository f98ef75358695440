/** The places of a pool's chunks: each has flags in shared memory, and what the main thread knows of its chunk. */
import type { Lease } from "../job/job.ts";
import type { Fault } from "./faults.ts";
import { clear, createFlags, type Flags, flagsOf, noJob } from "./flags.ts";
import { clearLog, createSpanLogs, type SpanLog, spanLogOf } from "./span-log.ts";
import type { RunCallbacks } from "./port.ts";
import { maxSlots } from "./shared-memory.ts";
import type { PoolSize } from "./size.ts";

/** What ended a thread, other than the only job that it ran. */
export type ThreadFault = Fault & {
  /** The attempt that is to blame was under way, and ends with the thread: that happens no more often than its job is tried. */
  readonly endsCulprit: boolean;
};

export type Slot = {
  readonly index: number;
  readonly flags: Flags;
  /** Undefined: tasks record no spans. */
  readonly spanLog: SpanLog | undefined;
  /** Those of the chunk that runs here, or ran here last: a job's events may arrive after its end. */
  leases: readonly Lease[];
  callbacks: RunCallbacks;
  /** Which chunk it is, or was last. */
  number: number;
  /** How many of its jobs, from the first on, have a known outcome. */
  known: number;
  /** The thread that it was posted to; 0: none yet. */
  thread: number;
  /** When the chunk was sent, or, while it waits, a thread became ready that might take it; by the monotonic clock. */
  sentMs: number;
  /** The job that was last seen to run, and when it began by the monotonic clock. */
  seen: number;
  beganMs: number;
  /** When it was last checked. */
  checkedMs: number;
  /** When the thread is ended because the job that was seen did not stop, by the monotonic clock. */
  killMs: number;
  /** Ends the chunk, and its thread if it has one: see thread-ends.ts. */
  end: () => void;
  isAborted: boolean;
  /** What ended its thread. */
  fault: ThreadFault | undefined;
};

export type Slots = {
  /** The shared memory of all flags. */
  readonly shared: SharedArrayBuffer;
  /** The same of all logs of spans; null: there are none. */
  readonly spanLogs: SharedArrayBuffer | null;
  /** The slot with this index. */
  at(index: number): Slot | undefined;
  /** The lease of an attempt whose slot has had no other chunk since. */
  leaseOf(attempt: Pick<Lease, "seq" | "attempt">): Lease | undefined;
  /** Slots that have a chunk now. */
  readonly busy: ReadonlySet<Slot>;
  free(): number;
  /** A slot for a chunk; undefined while none is free. */
  take(leases: readonly Lease[], callbacks: RunCallbacks, nowMs: number): Slot | undefined;
  /** The chunk has ended. */
  giveBack(slot: Slot): void;
  /** Keeps a slot from being used again until the function that it returns is called: its thread was asked to end and may still write. */
  quarantine(slot: Slot): () => void;
};

export type SlotsParts = {
  readonly size: Pick<PoolSize, "bounds" | "capacity">;
  /** Chunks that one worker may have at once. */
  readonly concurrency: number;
  readonly isTraced?: boolean | undefined;
};

/**
 * As many slots as there may be chunks at once; as many again stand by for those that wait for a thread to end. They are
 * made when they are first needed, for the bounds may rise while the pool runs.
 */
export function createSlots({ size, concurrency, isTraced = false }: SlotsParts): Slots {
  const shared = createFlags();
  const spanLogs = isTraced ? createSpanLogs() : null;
  const all: Slot[] = [];
  const idle: Slot[] = [];
  const busy = new Set<Slot>();
  const quarantined = new Set<Slot>();

  function free(): number {
    const used = all.length - idle.length;
    const most = Math.min(2 * size.bounds().max * concurrency, maxSlots);
    return Math.max(Math.min(most - used, size.capacity() * concurrency - busy.size), 0);
  }

  function add(): Slot {
    const index = all.length;
    const slot = newSlot(index, flagsOf(shared, index), spanLogs ? spanLogOf(spanLogs, index) : undefined);
    all.push(slot);
    return slot;
  }

  return {
    shared,
    spanLogs,
    at: (index) => all[index],
    leaseOf({ seq, attempt }) {
      const isMeant = (lease: Lease) => lease.seq === seq && lease.attempt === attempt;
      return all.find(({ leases }) => leases.some(isMeant))?.leases.find(isMeant);
    },
    busy,
    free,
    take(leases, callbacks, nowMs) {
      const slot = free() > 0 ? (idle.pop() ?? add()) : undefined;
      if (!slot) return undefined;
      clear(slot.flags, leases.length);
      if (slot.spanLog) clearLog(slot.spanLog);
      slot.leases = leases;
      slot.callbacks = callbacks;
      slot.number += 1;
      slot.known = 0;
      slot.thread = 0;
      slot.sentMs = nowMs;
      slot.checkedMs = nowMs;
      slot.seen = noJob;
      slot.killMs = Number.POSITIVE_INFINITY;
      slot.isAborted = false;
      slot.fault = undefined;
      busy.add(slot);
      return slot;
    },
    giveBack(slot) {
      busy.delete(slot);
      if (!quarantined.has(slot)) idle.push(slot);
    },
    quarantine(slot) {
      quarantined.add(slot);
      return () => {
        if (quarantined.delete(slot) && !busy.has(slot)) idle.push(slot);
      };
    },
  };
}

function newSlot(index: number, flags: Flags, spanLog: SpanLog | undefined): Slot {
  const times = { sentMs: 0, beganMs: 0, checkedMs: 0, killMs: Number.POSITIVE_INFINITY };
  return {
    index,
    flags,
    spanLog,
    leases: [],
    callbacks: { onEnded() {} },
    number: 0,
    known: 0,
    thread: 0,
    seen: noJob,
    ...times,
    end() {},
    isAborted: false,
    fault: undefined,
  };
}
