import type { AttemptInfo, DeadReasonName, JobInfo } from "../../../clients/typescript/index.ts";
import { type Command, jsonFlag, printAnswer } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { duration, moment } from "../print/format.ts";
import { labelsText } from "../labels.ts";
import { outputAsJson } from "../print/output.ts";
import { endOf, resultAsJson, styleOfState } from "./results.ts";
import { type Column, column, numbers, table } from "../print/table.ts";
import { type Fact, factLines, printable, type Terminal } from "../print/terminal.ts";

/** Shows one job. */
export const job: Command = {
  usage: "job <id>",
  summary: "show one job: its state, its failed attempts, and its result once it is final",
  flags: [...clientFlags, jsonFlag],
  examples: ["millpond job 01990000-0000-7000-8000-000000000000"],
  run: (invocation) =>
    withClient(invocation, async (client, learn) => {
      const found = await client.getJob(invocation.args[0] as string);
      await learn([found.result?.output]);
      return printAnswer(invocation, jobAsJson(found), jobLines(invocation.terminal, found));
    }),
};

/** A job for programs: plain JSON with times as ISO 8601 text. */
export function jobAsJson({ result, input, ...facts }: JobInfo): object {
  const { output: value, outputType: inputType } = outputAsJson(input);
  return {
    ...facts,
    ...(result && { result: resultAsJson(result) }),
    ...(input !== undefined && { inputType, input: value }),
  };
}

/** A job as lines of names and values, without unknown ones, followed by a table of its failed attempts. */
export function jobLines(terminal: Terminal, found: JobInfo): string[] {
  const { state, progress, result, lastFailure, isCancelling, redrives, labels } = found;
  const facts: readonly Fact[] = [
    ["job", found.id],
    ["task", `${found.task}, pool ${found.pool}`],
    ["channel", found.channel || "none: its result is discarded"],
    ["key", found.idempotencyKey || undefined],
    ["labels", labelsText(labels) || undefined],
    ["priority", found.priority === 0 ? undefined : String(found.priority)],
    ["state", isCancelling ? `${state}, stopping` : state],
    ["dead because", found.deadReason && deadText[found.deadReason]],
    ["attempt", `${found.attempts} of at most ${found.maxAttempts}`],
    ["redriven", redrives === 0 ? undefined : `${redrives} ${redrives === 1 ? "time" : "times"}`],
    ["timeout", found.timeoutMs === undefined ? undefined : duration(found.timeoutMs)],
    ["submitted", moment(found.submittedAt)],
    ["not before", state === "QUEUED" ? found.runAt && moment(found.runAt) : undefined],
    ["expires", found.expiresAt && moment(found.expiresAt)],
    ["started", found.startedAt && moment(found.startedAt)],
    ["finished", found.finishedAt && moment(found.finishedAt)],
    ["ran", result && duration(result.executionMs)],
    ["progress", progress && `${Math.round(progress.fraction * 100)} % ${progress.note}`.trimEnd()],
    ["last failure", lastFailure && `${lastFailure.reason}: ${lastFailure.message}`],
    ["result", result && endOf(result)],
  ];
  return [...factLines(terminal, facts, { state: styleOfState(state) }), ...historyLines(terminal, found.history)];
}

const deadText: { readonly [reason in DeadReasonName]: string } = {
  exhausted: "exhausted: its attempts are used up",
  permanent: "permanent: a retry cannot help",
  expired: "expired: its deadline passed",
  poison: "poison: it was running in several processes that died",
};

const attemptColumns: readonly Column<AttemptInfo>[] = [
  numbers("ATTEMPT", ({ number }) => number),
  column("OUTCOME", ({ outcome }) => outcome, { style: () => "bad" }),
  column("STARTED", ({ startedAt }) => moment(startedAt)),
  numbers("TOOK", ({ startedAt, finishedAt }) =>
    duration(startedAt && finishedAt && finishedAt.getTime() - startedAt.getTime()),
  ),
  column("FAILURE", ({ failure }) => (failure === undefined ? "" : `${failure.reason}: ${failure.message}`)),
];

function historyLines(terminal: Terminal, history: readonly AttemptInfo[]): string[] {
  if (history.length === 0) return [];
  const [heading = "", ...lines] = table(terminal, attemptColumns, history);
  return ["", heading, ...lines.flatMap((line, at) => [line, ...stackLines(terminal, history, at)])];
}

/** The stack of an attempt; empty if it equals that of the previous attempt. */
function stackLines(terminal: Terminal, history: readonly AttemptInfo[], at: number): string[] {
  const stack = history[at]?.failure?.stack;
  if (stack === undefined || stack === history[at - 1]?.failure?.stack) return [];
  return stack.split("\n").map((line) => terminal.style("quiet", `         ${printable(line)}`));
}
