/** Forwards the events of running jobs, and keeps their latest progress. */
import type { Lease } from "../job/job.ts";
import { jobFields } from "../job/log-fields.ts";
import type { Log } from "../log.ts";
import type { AttemptMessage } from "./chunk.ts";
import type { Ended, Progress } from "./port.ts";
import type { Slot, Slots } from "./slots.ts";

export type AttemptEvents = {
  receive(message: AttemptMessage): void;
  /** The last report of a job that has ended. */
  last(slot: Slot, lease: Lease, report: Progress): void;
  progressOf(seq: number): Progress | undefined;
  /** Forgets attempts that have ended. */
  forget(ended: readonly Ended[]): void;
};

export function createAttemptEvents(pool: string, slots: Slots, log: Log): AttemptEvents {
  const known = new Map<number, Progress>();

  function onProgress({ callbacks }: Slot, lease: Lease, progress: Progress): void {
    callbacks.onEvent?.(lease, { kind: "progress", progress });
  }

  return {
    receive(message) {
      const slot = slots.at(message.slot);
      const found = slot?.leases[message.index];
      const lease = found?.seq === message.seq ? found : undefined;
      if (message.kind === "log") {
        const { level, text, fields } = message;
        if (log.isWritten(level)) log[level]({ ...jobFields({ ...message, pool }), fields }, text);
        if (lease) slot?.callbacks.onEvent?.(lease, { kind: "log", level, text, fields });
        return;
      }
      if (!slot || !lease || !slots.busy.has(slot) || message.index < slot.known) return; // after the end of the job nothing would remove its progress
      const progress = { fraction: message.fraction, note: message.note };
      known.set(message.seq, progress);
      onProgress(slot, lease, progress);
    },
    last(slot, lease, report) {
      const before = known.get(lease.seq);
      if (before?.fraction !== report.fraction || before.note !== report.note) onProgress(slot, lease, report);
    },
    progressOf: (seq) => known.get(seq),
    forget(ended) {
      if (known.size > 0) for (const { lease } of ended) known.delete(lease.seq);
    },
  };
}
