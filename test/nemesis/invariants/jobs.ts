/** What becomes of jobs: none lost, none invented, none twice. */
import { createHash } from "node:crypto";
import type { ResultEvent } from "../history/event.ts";
import type { History, JobHistory } from "../history/history.ts";
import { finding, type Invariant } from "./invariant.ts";

/** Each end of a job: one, and one more for each redrive. */
const endOf = ({ state, redrives }: ResultEvent) => `${state} after ${redrives} redrives`;

/** Jobs that a receipt named, whoever asked. */
function acceptedJobs({ jobs }: History): Set<string> {
  const named = new Set<string>();
  for (const job of jobs.values()) for (const { as } of job.accepted) named.add(as);
  return named;
}

export const endsOnce: Invariant = {
  name: "I1",
  says: "every accepted job reaches exactly one final state",
  check: (history) =>
    finding("I1", (say) => {
      const accepted = acceptedJobs(history);
      for (const id of accepted) {
        const job = history.jobs.get(id);
        const ends = new Map((job?.results ?? []).map((result) => [endOf(result), result]));
        if (ends.size === 0) say("accepted, and no result ever came", { job: id });
        const byRedrive = new Map<number, string>();
        for (const [end, { redrives }] of ends) {
          const other = byRedrive.get(redrives);
          if (other !== undefined) say(`has two ends: ${other}, ${end}`, { job: id });
          byRedrive.set(redrives, end);
        }
      }
      return accepted.size;
    }),
};

export const notInvented: Invariant = {
  name: "I2",
  says: "no result and no execution of a job that was never submitted, and none for another client",
  check: ({ jobs }) =>
    finding("I2", (say) => {
      let checked = 0;
      for (const { id, intent, client, results, runs } of jobs.values()) {
        if (results.length + runs.length === 0) continue;
        checked += 1;
        if (!intent)
          say(`${results.length} results and ${runs.length} executions of a job nobody submitted`, { job: id });
        const stranger = results.find((result) => result.client !== client || result.channel !== intent?.channel);
        if (intent && stranger) say(`its result came to ${stranger.client} in ${stranger.channel}`, { job: id });
      }
      return checked;
    }),
};

export const refusedNeverRuns: Invariant = {
  name: "I3",
  says: "a refused submit never runs",
  check: ({ jobs }) =>
    finding("I3", (say) => {
      let checked = 0;
      for (const job of jobs.values()) {
        if (job.sends === 0 || job.refusals.length < job.sends) continue; // accepted once, or the answer is unknown
        checked += 1;
        const reason = job.refusals[0]!.reason;
        if (job.runs.length > 0) say(`refused with ${reason}, and ran ${job.runs.length} times`, { job: job.id });
        if (job.results.length > 0) say(`refused with ${reason}, and has a result`, { job: job.id });
      }
      return checked;
    }),
};

export const oneJobPerKey: Invariant = {
  name: "I4",
  says: "at most one job per client and key, whatever the clients were told",
  check: ({ jobs }) =>
    finding("I4", (say) => {
      const byKey = new Map<string, JobHistory[]>();
      for (const job of jobs.values()) {
        const key = job.intent?.key;
        if (typeof key !== "string") continue;
        const name = `${job.client} ${key}`;
        const same = byKey.get(name);
        if (same) same.push(job);
        else byKey.set(name, [job]);
      }
      for (const [key, same] of byKey) {
        const alive = same.filter(({ runs, results }) => runs.length + results.length > 0).map(({ id }) => id);
        const named = same.flatMap(({ accepted }) => accepted.map(({ as }) => as));
        const all = new Set([...alive, ...named]);
        const [job] = all;
        if (all.size > 1)
          say(`key ${key} is ${all.size} jobs: ${[...all].join(", ")}`, job === undefined ? {} : { job });
      }
      return byKey.size;
    }),
};

export const rightOutput: Invariant = {
  name: "I5",
  says: "what succeeded returned the hash of its own input",
  check: ({ jobs }) =>
    finding("I5", (say) => {
      let checked = 0;
      for (const { id, intent, results } of jobs.values()) {
        const succeeded = results.filter(({ state }) => state === "SUCCEEDED");
        if (!intent || succeeded.length === 0) continue;
        checked += 1;
        const expected = createHash("sha256").update(intent.input).digest("hex");
        const wrong = succeeded.find(({ sha256 }) => sha256 !== expected);
        if (wrong) say(`returned ${wrong.sha256} and must return ${expected}`, { job: id });
      }
      return checked;
    }),
};

export const oneResult: Invariant = {
  name: "I6",
  says: "one result per job, the last lease holder's, and it never changes",
  check: ({ jobs }, { isShared }) =>
    finding("I6", (say) => {
      let checked = 0;
      for (const { id, results, runs, redrivenAt } of jobs.values()) {
        if (results.length === 0) continue;
        checked += 1;
        const first = new Map<number, ResultEvent>();
        for (const result of results) {
          const before = first.get(result.redrives);
          if (!before) first.set(result.redrives, result);
          else if (factsOf(before) !== factsOf(result)) {
            say(`was delivered as ${factsOf(before)} and later as ${factsOf(result)}`, { job: id });
          }
        }
        for (const result of first.values()) {
          if (result.state !== "SUCCEEDED") continue;
          const maker = runs.find(({ run }) => run === result.run);
          if (!maker) say(`its output is of execution ${result.run}, which never began`, { job: id });
          else if (maker.attempt !== result.attempts) {
            say(`attempt ${maker.attempt} made the output of a job that counts ${result.attempts}`, { job: id });
          }
        }
        if (redrivenAt.length > 0) continue;
        const { at, attempts } = results[0]!;
        const late = runs.find(({ beganAt, attempt }) => beganAt > at && !(isShared && attempt <= attempts));
        if (late)
          say(`attempt ${late.attempt} began ${Math.round(late.beganAt - at)} ms after its result`, { job: id });
      }
      return checked;
    }),
};

const factsOf = ({ cursor, state, attempts, sha256, run, reason }: ResultEvent) =>
  `${state} at ${cursor}, attempts ${attempts}, output ${sha256 ?? "none"} of ${run ?? "none"}, reason ${reason ?? "none"}`;
