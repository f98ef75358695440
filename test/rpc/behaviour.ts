/** What every front end must do: one suite, registered once for each way to speak to a server. */
import { after, before, describe } from "node:test";
import { cancelCases } from "./behaviour/cancel.ts";
import { deadLetterCases } from "./behaviour/dead-letters.ts";
import { exchangeCases } from "./behaviour/exchange.ts";
import { exchangeCancelCases } from "./behaviour/exchange-cancel.ts";
import { exchangeEndCases } from "./behaviour/exchange-ends.ts";
import { healthCases } from "./behaviour/health.ts";
import { jobCases } from "./behaviour/jobs.ts";
import { limitCases } from "./behaviour/limits.ts";
import { resultsCases } from "./behaviour/results.ts";
import { runCases } from "./behaviour/run.ts";
import { submitCases } from "./behaviour/submit.ts";
import { watchCases } from "./behaviour/watch.ts";
import { idleTasks, openServer, type TestServer, type Way } from "./fixtures.ts";

/** Narrow limits, so that tests can reach them. The clients named here have a rate; the others have none. */
const narrow = {
  limits: { inputBytes: 20_000, messageBytes: 262_144, jobsPerSubmit: 100, watches: 20, statsWatches: 3 },
  rate: {
    clients: {
      "hardly-any": { perSecond: 0.001, burst: 5 },
      paced: { perSecond: 200, burst: 10 },
    },
  },
};

export function registerBehaviour(way: Way): void {
  describe(`a server over ${way.name}`, () => {
    let server: TestServer;
    before(async () => {
      server = await openServer(narrow, idleTasks().files);
    });
    after(() => server.remove());

    describe("Submit", () => submitCases(way, () => server));
    describe("Results and AckResults", () => resultsCases(way, () => server));
    describe("GetJob, ListJobs, Stats and ListTasks", () => jobCases(way, () => server));
    describe("Run", () => runCases(way, () => server));
    describe("CancelJobs", () => cancelCases(way, () => server));
    describe("ListDeadLetters, RedriveJobs and DeleteJobs", () => deadLetterCases(way, () => server));
    describe("WatchJob and ExplainJob", () => watchCases(way, () => server));
    describe("Health", () => healthCases(way, () => server));
    describe("limits", () => limitCases(way, () => server));
    if (way.isBidi) {
      describe("Exchange", () => exchangeCases(way, () => server));
      describe("Exchange, cancels and clients that go away", () => exchangeCancelCases(way, () => server));
      describe("Exchange, its ends and beginnings", () => exchangeEndCases(way, () => server));
    }
  });
}
