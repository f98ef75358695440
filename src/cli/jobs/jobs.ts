import type { JobInfo } from "../../../clients/typescript/index.ts";
import { type Command, integerOf, isOn, jsonFlag, flagText, UsageError } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { moment } from "../print/format.ts";
import { labelFlag, labelsOf } from "../labels.ts";
import { styleOfState } from "./results.ts";
import { table } from "../print/terminal.ts";

const states = ["QUEUED", "RUNNING", "SUCCEEDED", "DEAD", "CANCELLED"] as const;

/** Lists the newest jobs of this client. */
export const jobs: Command = {
  usage: "jobs",
  summary: "list your newest jobs",
  flags: [
    { usage: "--state <state>", doc: `only jobs in this state: ${states.join(", ")}` },
    { usage: "--task <name>", doc: "only jobs of this task" },
    { usage: "--channel <name>", doc: "only jobs of this channel" },
    { ...labelFlag, doc: "only jobs with this label; if repeated, with all of them" },
    { usage: "--limit <count>", doc: "at most this many, 1 to 1000 (default: 20)" },
    ...clientFlags,
    jsonFlag,
  ],
  examples: [
    "millpond jobs",
    "millpond jobs --state DEAD --task image.resize --limit 100",
    "millpond jobs --label customer=17",
  ],
  run: (invocation) =>
    withClient(invocation, async (client) => {
      const { flags, terminal } = invocation;
      const limit = integerOf(flags, "--limit", { min: 1, max: 1000, fallback: 20 });
      const newest = client.listJobs({
        state: stateOf(flagText(flags, "--state")),
        task: flagText(flags, "--task"),
        channel: flagText(flags, "--channel"),
        labels: labelsOf(flags),
        pageSize: limit,
      });
      const found: JobInfo[] = [];
      for await (const job of newest) if (found.push(job) === limit) break;
      if (isOn(flags, "--json")) {
        terminal.print(JSON.stringify({ jobs: found.map(listedAsJson) }));
        return 0;
      }
      const columns = [
        { title: "JOB" },
        { title: "TASK" },
        { title: "STATE", style: styleOfState },
        { title: "TRIES", align: "right" },
        { title: "SUBMITTED" },
        { title: "FAILURE" },
      ] as const;
      const rows = found.map(({ id, task, state, attempts, submittedAt, result, lastFailure }) => [
        id,
        task,
        state,
        String(attempts),
        moment(submittedAt),
        (result?.failure ?? lastFailure)?.reason ?? "",
      ]);
      if (rows.length === 0) terminal.printError("no such jobs");
      else for (const each of table(terminal, columns, rows)) terminal.print(each);
      return 0;
    }),
};

/** A listed job for programs. Lists carry no outputs, inputs and histories, so `result` only has a failure. */
export function listedAsJson({ result, history: _history, input: _input, ...facts }: JobInfo): object {
  return { ...facts, ...(result?.failure && { failure: result.failure }) };
}

function stateOf(given: string | undefined): (typeof states)[number] | undefined {
  const state = states.find((each) => each === given?.toUpperCase());
  if (given !== undefined && state === undefined) {
    throw new UsageError(`--state is "${given}": must be one of ${states.join(", ")}`);
  }
  return state;
}
