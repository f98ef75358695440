/** What is left when the faults have stopped. */
import { finding, type Invariant } from "./invariant.ts";

export const queueEmpties: Invariant = {
  name: "I18",
  says: "with the faults stopped the queue empties, and nothing stays RUNNING",
  check: ({ atRest }) =>
    finding("I18", (say) => {
      if (!atRest) return 0;
      if (atRest.queued > 0) say(`${atRest.queued} jobs still wait`);
      if (atRest.running > 0) say(`${atRest.running} jobs still run`);
      return 1;
    }),
};

export const storeIsWhole: Invariant = {
  name: "I19",
  says: "the store's file is whole, and its counters are its rows",
  check: ({ store }) =>
    finding("I19", (say) => {
      if (!store) return 0;
      for (const line of store.integrity) say(`integrity check: ${line}`);
      for (const name of new Set([...Object.keys(store.counters), ...Object.keys(store.rows)])) {
        const [counted, there] = [store.counters[name] ?? 0, store.rows[name] ?? 0];
        if (counted !== there) say(`${name}: the counter says ${counted} and there are ${there} rows`);
      }
      return Object.keys(store.rows).length;
    }),
};

export const deadLettersTell: Invariant = {
  name: "I20",
  says: "a dead letter holds the chain of its errors, and a redrive keeps the id",
  check: ({ jobs }) =>
    finding("I20", (say) => {
      let checked = 0;
      for (const { id, deadLetter, redrivenAt, results, runs } of jobs.values()) {
        if (deadLetter) {
          checked += 1;
          // an attempt whose deadline had passed before it began is told of and not counted
          const counted = deadLetter.history.filter(
            ({ number, outcome }) => outcome !== "EXPIRED" || number <= deadLetter.attempts,
          );
          const numbers = counted.map(({ number }) => number);
          const expected = Array.from({ length: deadLetter.attempts }, (_, index) => index + 1);
          if (numbers.join() !== expected.join()) {
            say(`its history tells of attempts ${numbers.join()} and it had ${deadLetter.attempts}`, { job: id });
          }
          if (deadLetter.history.some(({ reason }) => reason === "")) say("an attempt has no reason", { job: id });
          const ran = runs.filter(({ beganAt }) => beganAt < deadLetter.at).length;
          if (ran > deadLetter.attempts) say(`ran ${ran} times and tells of ${deadLetter.attempts}`, { job: id });
        }
        if (redrivenAt.length === 0) continue;
        checked += 1;
        if (!results.some(({ redrives }) => redrives > 0))
          say("redriven, and no second end came under its id", { job: id });
      }
      return checked;
    }),
};
