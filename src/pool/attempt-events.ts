/** Passes on what running jobs say, and remembers how far they are. */
import type { Lease } from "../job/job.ts";
import { jobFields } from "../job/log-fields.ts";
import type { Log } from "../log.ts";
import type { Note } from "./chunk.ts";
import type { Ended, PoolOptions, Progress } from "./port.ts";
import type { Slots } from "./slots.ts";

export type Notes = {
  hear(note: Exclude<Note, { readonly kind: "resources" | "loading" | "unready" | "ready" | "fault" | "ended" }>): void;
  /** The last report of a job that has ended. */
  last(lease: Lease, report: Progress): void;
  progressOf(seq: number): Progress | undefined;
  /** These attempts have ended. */
  forget(ended: readonly Ended[]): void;
};

export function createNotes(pool: string, slots: Slots, log: Log, onSaid: PoolOptions["onSaid"]): Notes {
  const progress = new Map<number, Progress>();
  return {
    hear(note) {
      const slot = slots.at(note.slot);
      const found = slot?.leases[note.index];
      const lease = found?.seq === note.seq ? found : undefined;
      if (note.kind === "progress") {
        if (!slot || !lease || !slots.busy.has(slot) || note.index < slot.known) return; // after the job's end it would stay for ever
        const said = { fraction: note.fraction, note: note.note };
        progress.set(note.seq, said);
        onSaid(lease, { kind: "progress", progress: said });
        return;
      }
      const { level, text, fields } = note;
      if (log.isWritten(level)) log[level]({ ...jobFields({ ...note, pool }), fields }, text);
      if (lease) onSaid(lease, { kind: "log", level, text, fields });
    },
    last(lease, report) {
      const known = progress.get(lease.seq);
      if (known?.fraction === report.fraction && known.note === report.note) return;
      onSaid(lease, { kind: "progress", progress: report });
    },
    progressOf: (seq) => progress.get(seq),
    forget(ended) {
      if (progress.size > 0) for (const { lease } of ended) progress.delete(lease.seq);
    },
  };
}
