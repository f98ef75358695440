import type { JobInfo } from "../../clients/typescript/index.ts";
import { type Command, isOn, jsonFlag } from "./command.ts";
import { clientFlags, withClient } from "./connection.ts";
import { duration, moment } from "./format.ts";
import { endOf, resultAsJson, styleOfState } from "./results.ts";
import { printable, type Terminal } from "./terminal.ts";

/** Shows one job. */
export const job: Command = {
  usage: "job <id>",
  summary: "show one job: where it stands, and its result once final",
  flags: [...clientFlags, jsonFlag],
  examples: ["millpond job 01990000-0000-7000-8000-000000000000"],
  run: (invocation) =>
    withClient(invocation, async (client) => {
      const { args, flags, terminal } = invocation;
      const found = await client.getJob(args[0] as string);
      if (isOn(flags, "--json")) terminal.print(JSON.stringify(jobAsJson(found)));
      else for (const line of jobLines(terminal, found)) terminal.print(line);
      return 0;
    }),
};

/** A job for programs: plain JSON with times as ISO 8601 text. */
export function jobAsJson({ result, ...facts }: JobInfo): object {
  return { ...facts, ...(result && { result: resultAsJson(result) }) };
}

/** A job as lines of names and values; what is unknown is left out. */
export function jobLines(terminal: Terminal, found: JobInfo): string[] {
  const { state, progress, result, lastFailure } = found;
  const facts: [string, string | undefined][] = [
    ["job", found.id],
    ["task", `${found.task}, pool ${found.pool}`],
    ["channel", found.channel],
    ["state", state],
    ["attempt", `${found.attempts} of at most ${found.maxAttempts}`],
    ["submitted", moment(found.submittedAt)],
    ["started", found.startedAt && moment(found.startedAt)],
    ["finished", found.finishedAt && moment(found.finishedAt)],
    ["ran", result && duration(result.executionMs)],
    ["progress", progress && `${Math.round(progress.fraction * 100)} % ${progress.note}`.trimEnd()],
    ["last failure", lastFailure && `${lastFailure.reason}: ${lastFailure.message}`],
    ["result", result && endOf(result)],
  ];
  const style = styleOfState(state);
  return facts
    .filter((fact): fact is [string, string] => fact[1] !== undefined)
    .map(([name, value]) => {
      const shown = printable(value);
      return `${name.padEnd(12)}  ${name === "state" && style !== undefined ? terminal.style(style, shown) : shown}`;
    });
}
