import type { JobInfo } from "../../../clients/typescript/index.ts";
import {
  type Command,
  type Flag,
  integerOf,
  type Invocation,
  isOn,
  jsonFlag,
  flagText,
  printAnswer,
  UsageError,
} from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { moment } from "../print/format.ts";
import { labelFlag, labelsOf } from "../labels.ts";
import { styleOfState } from "./results.ts";
import { type Column, column, numbers, table } from "../print/table.ts";

const states = ["QUEUED", "RUNNING", "SUCCEEDED", "DEAD", "CANCELLED"] as const;

export const limitFlag: Flag = { usage: "--limit <count>", doc: "at most this many, 1 to 1000 (default: 20)" };

/** Lists the newest jobs of this client. */
export const jobs: Command = {
  usage: "jobs",
  summary: "list your newest jobs",
  flags: [
    { usage: "--state <state>", doc: `only jobs in this state: ${states.join(", ")}` },
    { usage: "--task <name>", doc: "only jobs of this task" },
    { usage: "--channel <name>", doc: "only jobs of this channel" },
    { ...labelFlag, doc: "only jobs with this label; if repeated, with all of them" },
    limitFlag,
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
      const { flags } = invocation;
      const filter = {
        state: stateOf(flagText(flags, "--state")),
        task: flagText(flags, "--task"),
        channel: flagText(flags, "--channel"),
        labels: labelsOf(flags),
      };
      const list = (pageSize: number) => client.listJobs({ ...filter, pageSize });
      return printListed(invocation, { list, columns, none: "no such jobs" });
    }),
};

const columns: readonly Column<JobInfo>[] = [
  column("JOB", ({ id }) => id),
  column("TASK", ({ task }) => task),
  column("STATE", ({ state }) => state, { style: styleOfState }),
  numbers("TRIES", ({ attempts }) => attempts),
  column("SUBMITTED", ({ submittedAt }) => moment(submittedAt)),
  column("FAILURE", ({ result, lastFailure }) => (result?.failure ?? lastFailure)?.reason ?? ""),
];

type Listing = {
  list(pageSize: number): AsyncIterable<JobInfo>;
  readonly columns: readonly Column<JobInfo>[];
  /** The message when there are none. */
  readonly none: string;
};

/** Prints the first jobs of a list, up to `--limit`. */
export async function printListed(invocation: Invocation, { list, columns, none }: Listing): Promise<number> {
  const { flags, terminal } = invocation;
  const limit = integerOf(flags, "--limit", { min: 1, max: 1000, fallback: 20 });
  const found: JobInfo[] = [];
  for await (const job of list(limit)) if (found.push(job) === limit) break;
  if (found.length === 0 && !isOn(flags, "--json")) terminal.printError(none);
  else printAnswer(invocation, { jobs: found.map(listedAsJson) }, table(terminal, columns, found));
  return 0;
}

/** A listed job for programs. Lists carry no outputs, inputs and histories, so `result` only has a failure. */
function listedAsJson({ result, history: _history, input: _input, ...facts }: JobInfo): object {
  return { ...facts, ...(result?.failure && { failure: result.failure }) };
}

function stateOf(given: string | undefined): (typeof states)[number] | undefined {
  const state = states.find((each) => each === given?.toUpperCase());
  if (given !== undefined && state === undefined) {
    throw new UsageError(`--state is "${given}": must be one of ${states.join(", ")}`);
  }
  return state;
}
