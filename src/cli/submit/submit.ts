import { systemClock } from "../../../clients/typescript/clock.ts";
import type { JobInfo, MillpondClient } from "../../../clients/typescript/index.ts";
import { type Command, type Invocation, isOn, listOf, flagText, UsageError } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { inputFlags, readInput } from "./input.ts";
import { jobFlags, jobOptionsOf, traceNote } from "./job-flags.ts";
import { printResult } from "../jobs/results.ts";
import { runLines } from "./run-lines.ts";
import { submitLines } from "./submit-lines.ts";

/** The first interval between two polls of a job with --wait; later ones are longer. */
const firstPollMs = 20;
const longestPollMs = 500;
/** Marks `--json` without a value; no argument of a process can contain this character. */
const bareJson = "\0";

/** Submits one job, or one for each line of a file, and waits for results with --wait. */
export const submit: Command = {
  usage: "submit <task>",
  summary: "submit a job, or one for each line of a file, and print the ids",
  notes:
    "`--json` with a value is the job's input; without one, as in every command, it makes the output JSON. Both may be " +
    "given. A value that starts with a dash is written `--json=-5`. With --wait the result is printed instead of the " +
    "id, and the exit code is 1 when the job did not succeed; the result stays in its channel until acknowledged. With " +
    "--json-lines each line becomes a job, all with the same options; --key nightly means the keys nightly-1, " +
    "nightly-2 and so on by line, so that the file can be submitted again. Refused lines are listed, and the " +
    "others are submitted. With --wait at most 500 of its jobs are unfinished at once, and results are acknowledged as they are " +
    `printed. ${traceNote}`,
  flags: [
    { usage: "--json [input]", doc: "the input as JSON; without a value: print JSON", bare: bareJson, repeats: true },
    ...inputFlags,
    {
      usage: "--json-lines <file>",
      doc: "a job for each line of the file, with the line's JSON as its input; - is standard input",
    },
    ...jobFlags,
    { usage: "--wait", doc: "wait for the result and print it" },
    ...clientFlags,
  ],
  examples: [
    'millpond submit echo --json \'{"hello": "world"}\'',
    'millpond submit image.resize --json \'{"path": "cat.jpg", "width": 640}\' --wait',
    "millpond submit echo --json-file input.json --json",
    "millpond submit image.resize --json-lines pictures.jsonl --key thumbnails --channel thumbnails --wait",
    "millpond submit sleep --json '{\"durationMs\": 500}' --key invoice-4711 --delay 5m --max-attempts 3 --label customer=17",
  ],
  run: async (invocation) => {
    const { args, flags, env, terminal } = invocation;
    const given = listOf(flags, "--json");
    const isJson = given.includes(bareJson);
    const lines = flagText(flags, "--json-lines");
    if (lines !== undefined) return submitAllLines(invocation, lines, isJson);
    const input = await readInput(
      given.filter((value) => value !== bareJson),
      "--json",
      flags,
    );
    const options = jobOptionsOf(flags, env);
    return withClient(invocation, async (client, learn) => {
      const id = await client.submit(args[0] as string, input, options);
      if (!isOn(flags, "--wait")) {
        terminal.print(isJson ? JSON.stringify({ jobId: id }) : id);
        return 0;
      }
      const result = await finalResult(client, id);
      await learn([result.output]);
      return printResult(terminal, result, isJson);
    });
  },
};

async function submitAllLines(invocation: Invocation, file: string, isJson: boolean): Promise<number> {
  const { args, flags, env, terminal } = invocation;
  const isWaiting = isOn(flags, "--wait");
  const given = listOf(flags, "--json").filter((value) => value !== bareJson);
  const taboo = ["--json-file", "--file", "--id"].filter((flag) => flagText(flags, flag) !== undefined);
  if (given.length > 0) taboo.push("--json with a value");
  if (isWaiting && isOn(flags, "--discard")) taboo.push("--discard");
  if (taboo.length > 0) {
    const what = isWaiting ? "--json-lines with --wait" : "--json-lines";
    throw new UsageError(`${what} cannot be combined with ${taboo.join(", ")}: leave one out`);
  }
  const options = jobOptionsOf(flags, env);
  return withClient(invocation, (client, learn) => {
    const all = { client, learn, task: args[0] as string, file, options, isJson, terminal };
    return isWaiting ? runLines(all) : submitLines(all);
  });
}

async function finalResult(client: MillpondClient, id: string): Promise<NonNullable<JobInfo["result"]>> {
  for (let delayMs = firstPollMs; ; delayMs = Math.min(delayMs * 1.5, longestPollMs)) {
    const { result } = await client.getJob(id);
    if (result !== undefined) return result;
    await systemClock.sleep(delayMs);
  }
}
