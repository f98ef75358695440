/** The slots of a pool's chunks: each has flags in shared memory, and the main thread's state of its chunk. */
import type { Lease } from "../job/job.ts";
import type { Fault } from "./faults.ts";
import { clear, createFlags, type Flags, flagsOf, noJob } from "./flags.ts";
import { clearLog, createSpanLogs, type SpanLog, spanLogOf } from "./span-log.ts";
import type { RunCallbacks } from "./port.ts";
import { maxSlots } from "./shared-memory.ts";
import type { PoolSize } from "./size.ts";

/** The fault that ended a thread, if it was not simply the only job that it ran. */
export type ThreadFault = Fault & {
  /**
   * Whether the attempt to blame was running and ends with the thread, so that its own attempts bound how often this
   * happens.
   */
  readonly endsCulprit: boolean;
};

export type Slot = {
  readonly index: number;
  readonly flags: Flags;
  /** Undefined: spans are not recorded. */
  readonly spanLog: SpanLog | undefined;
  /** The leases of the current or last chunk, those of the last without large records: a job's events may arrive after its end. */
  leases: readonly Lease[];
  callbacks: RunCallbacks;
  /** Number of the current or last chunk. */
  number: number;
  /** Number of jobs, from the first, whose outcome is known. */
  known: number;
  /** The thread that the chunk was posted to; 0: none yet. */
  thread: number;
  /** When the chunk was sent, or, while it waits, when a thread that may take it became ready (monotonic clock). */
  sentMs: number;
  /** The job last seen running, and when it started (monotonic clock). */
  seen: number;
  beganMs: number;
  /** When the slot was last checked. */
  checkedMs: number;
  /** When the thread will be terminated because the job last seen did not stop (monotonic clock). */
  killMs: number;
  /** Ends the chunk, and terminates its thread if it has one: see thread-ends.ts. */
  end: () => void;
  isAborted: boolean;
  /** The fault that ended its thread. */
  fault: ThreadFault | undefined;
};

export type Slots = {
  /** The shared memory of all flags. */
  readonly shared: SharedArrayBuffer;
  /** The shared memory of all span logs; null: there are none. */
  readonly spanLogs: SharedArrayBuffer | null;
  /** The slot with this index. */
  at(index: number): Slot | undefined;
  /** The lease of an attempt, if its slot has had no other chunk since. */
  leaseOf(attempt: Pick<Lease, "seq" | "attempt">): Lease | undefined;
  /** Slots that have a chunk now. */
  readonly busy: ReadonlySet<Slot>;
  free(): number;
  /** Takes a slot for a chunk; undefined if none is free. */
  take(leases: readonly Lease[], callbacks: RunCallbacks, nowMs: number): Slot | undefined;
  /** Frees the slot of a chunk that has ended. */
  release(slot: Slot): void;
  /**
   * Keeps a slot from being reused until the returned function is called, because its thread is being terminated and
   * may still write.
   */
  quarantine(slot: Slot): () => void;
};

export type SlotsParts = {
  readonly size: Pick<PoolSize, "bounds" | "capacity">;
  /** Number of chunks that one worker may have at once. */
  readonly concurrency: number;
  readonly isTraced?: boolean | undefined;
};

/**
 * There are as many slots as concurrent chunks, and as many again to replace quarantined ones. They are created when
 * first needed, because the bounds may rise while the pool runs.
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
    release(slot) {
      busy.delete(slot);
      if (slot.leases.some(isHeavy)) slot.leases = slot.leases.map(withoutRecord);
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

const noRecord = new Uint8Array();
/** What the records of an idle slot may keep in memory; fewer bytes are not worth a copy of each lease. */
const heavyBytes = 256 * 1024;

/** A record is a view of everything that its lease call brought. */
function isHeavy({ record }: Lease): boolean {
  return record.buffer.byteLength > heavyBytes;
}

function withoutRecord(lease: Lease): Lease {
  return { ...lease, record: noRecord };
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
