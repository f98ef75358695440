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
        const late = runs.find(({ beganAt }) => beganAt > told.at);
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
