/** Logs changes of the health of parts: at most one line per ten seconds for a part that changes often. */
import type { Clock } from "../../clock.ts";
import type { Log } from "../../log.ts";
import type { PartReport } from "./protocol.ts";

export type HealthLog = {
  /** A part has a problem, or is healthy again. */
  changed(report: PartReport): void;
  stop(): void;
};

const quietMs = 10_000;

/** A part with a line in the last ten seconds. */
type Quiet = { latest: PartReport; changes: number; readonly cancel: () => void };

export function createHealthLog(clock: Clock, log: Log): HealthLog {
  const quiet = new Map<string, Quiet>();

  function write({ resource, part, problem }: PartReport, changes: number): void {
    const fields = { resource, ...(part !== "" && { part }), ...(changes > 1 && { changes }) };
    if (problem === undefined) log.info(fields, "a resource is healthy again");
    else log.warn({ ...fields, problem }, "a resource has a problem");
  }

  function writeNow(report: PartReport, changes: number): void {
    write(report, changes);
    const key = `${report.resource} ${report.part}`;
    const cancel = clock.after(quietMs, () => {
      const { latest, changes: missed } = quiet.get(key) as Quiet;
      quiet.delete(key);
      if (missed > 0) writeNow(latest, missed);
    });
    quiet.set(key, { latest: report, changes: 0, cancel });
  }

  return {
    changed(report) {
      const known = quiet.get(`${report.resource} ${report.part}`);
      if (!known) return writeNow(report, 1);
      known.latest = report;
      known.changes += 1;
    },
    stop() {
      for (const { cancel } of quiet.values()) cancel();
      quiet.clear();
    },
  };
}
