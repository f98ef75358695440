import type { JobHistory, Run } from "../history/history.ts";
import { finding, type Invariant } from "./invariant.ts";

export const cancelledStays: Invariant = {
  name: "I13",
  says: "cancelled means no later success and no later attempt, and nobody else cancels",
  check: ({ jobs }) =>
    finding("I13", (say) => {
      let checked = 0;
      for (const { id, cancels, results, runs, redrivenAt } of jobs.values()) {
        if (cancels.length === 0) {
          if (results.some(({ state }) => state === "CANCELLED"))
            say("CANCELLED, and nobody asked for it", { job: id });
          continue;
        }
        const told = cancels.find(({ says }) => says === "CANCELLED" || says === "CANCELLING");
        if (!told || redrivenAt.length > 0) continue;
        checked += 1;
        const [first, ...others] = runs.filter(({ beganAt }) => beganAt > told.at);
        const late = first && isOnItsWay(first, told, runs) ? others[0] : first;
        if (late) say(`attempt ${late.attempt} began after the answer ${told.says}`, { job: id });
        const other = results.find(({ state }) => state !== "CANCELLED");
        if (!other) continue;
        // a running attempt may succeed before the news reaches it; one that waited may not
        const mayBe = told.says === "CANCELLING" && other.state === "SUCCEEDED" && runs.length > 0;
        if (!mayBe) say(`${other.state} although the answer was ${told.says}`, { job: id });
      }
      return checked;
    }),
};

/** So long may a thread be without a core. */
const offCoreMs = 50;

/** Whether it is the attempt that was asked to stop: its thread had the job already, and had not come to the task's first line. */
function isOnItsWay(run: Run, told: JobHistory["cancels"][number], runs: readonly Run[]): boolean {
  if (told.says !== "CANCELLING" || run.beganAt > told.at + offCoreMs) return false;
  return !runs.some(({ beganAt, finishedAt }) => beganAt <= told.at && (finishedAt ?? 0) > told.at);
}
