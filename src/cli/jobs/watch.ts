import type { JobInfo, JobLogLine, JobUpdate } from "../../../clients/typescript/index.ts";
import { type Command, integerOf, isOn, jsonFlag } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { moment } from "../print/format.ts";
import { jobAsJson } from "./job.ts";
import { endOf, styleOfState } from "./results.ts";
import { printable, type Style, type Terminal } from "../print/terminal.ts";

/** Follows one job to its end. */
export const watch: Command = {
  usage: "watch <id>",
  summary: "follow one job: its states, its progress and its log lines, until it is final",
  notes:
    "Reconnects when the connection is lost. The exit code is 1 when the job did not succeed. With --json each update is " +
    "one line; its `event` is what --after takes.",
  flags: [
    { usage: "--after <event>", doc: "only updates after this event (default: all that the server still has)" },
    ...clientFlags,
    jsonFlag,
  ],
  examples: ["millpond watch 01990000-0000-7000-8000-000000000000"],
  run: (invocation) =>
    withClient(invocation, async (client, learn) => {
      const { args, flags, terminal } = invocation;
      const afterEvent = integerOf(flags, "--after", { min: 0, max: Number.MAX_SAFE_INTEGER, fallback: 0 });
      let state = "";
      for await (const update of client.watch(args[0] as string, { afterEvent })) {
        if (update.kind === "job") {
          ({ state } = update.job);
          await learn([update.job.result?.output]);
        }
        terminal.print(isOn(flags, "--json") ? JSON.stringify(updateAsJson(update)) : updateLine(terminal, update));
      }
      return state === "SUCCEEDED" ? 0 : 1;
    }),
};

function updateAsJson(update: JobUpdate): object {
  return update.kind === "job" ? { ...update, job: jobAsJson(update.job) } : update;
}

const levelStyles: { readonly [level: string]: Style } = { error: "bad", warn: "waiting", debug: "quiet" };

/** One update on one line. */
export function updateLine(terminal: Terminal, update: JobUpdate): string {
  switch (update.kind) {
    case "job":
      return jobLine(terminal, update.job);
    case "progress": {
      const { fraction, note } = update.progress;
      return `${String(Math.round(fraction * 100)).padStart(3)} %  ${printable(note)}`.trimEnd();
    }
    case "log":
      return logLine(terminal, update.line);
    case "dropped":
      return terminal.style("quiet", `(${update.count} log lines or progress reports came too fast and were dropped)`);
  }
}

function jobLine(terminal: Terminal, job: JobInfo): string {
  const { state, attempts, maxAttempts, result, lastFailure, runAt, isCancelling } = job;
  const style = styleOfState(state);
  const shown = style === undefined ? state : terminal.style(style, state);
  const facts = [`attempt ${attempts} of at most ${maxAttempts}`];
  if (isCancelling) facts.push("stopping");
  if (state === "QUEUED" && lastFailure) {
    facts.push(`${lastFailure.reason}: ${lastFailure.message}`, `next attempt at ${moment(runAt)}`);
  }
  if (result) facts.push(endOf(result));
  return `${shown}  ${printable(facts.join("; "))}`;
}

function logLine(terminal: Terminal, { at, level, text, fields }: JobLogLine): string {
  const style = levelStyles[level];
  const named = Object.keys(fields).length === 0 ? "" : ` ${JSON.stringify(fields)}`;
  const line = `${moment(at)} ${level.padEnd(5)} ${printable(text + named)}`;
  return style === undefined ? line : terminal.style(style, line);
}
