import { mkdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { JobResult } from "../../../clients/typescript/index.ts";
import { type Command, integerOf, isOn, jsonFlag, flagText } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { duration } from "../print/format.ts";
import { bytesOf, extensionOf, outputAsJson, outputAsText } from "../print/output.ts";
import { type Column, column, heading, line } from "../print/table.ts";
import type { Style, Terminal } from "../print/terminal.ts";

/** Prints the results of a channel. */
export const results: Command = {
  usage: "results",
  summary: "print the unacknowledged results of a channel",
  notes:
    "Results come in the order in which jobs became final, and are repeated until they are acknowledged. With --json each " +
    "is one line; bytes are in base64.",
  flags: [
    { usage: "--channel <name>", doc: "the channel (default: default)" },
    { usage: "--follow", doc: "keep printing new results until interrupted" },
    { usage: "--after <cursor>", doc: "only results after this position (default: 0)" },
    { usage: "--ack", doc: "acknowledge what was printed: no reader gets it again" },
    { usage: "--save <folder>", doc: "write outputs that are bytes, such as pictures, to files in this folder" },
    ...clientFlags,
    jsonFlag,
  ],
  examples: ["millpond results --follow", "millpond results --channel thumbnails --save thumbnails --ack"],
  run: (invocation) =>
    withClient(invocation, async (client, learn) => {
      const { flags, terminal } = invocation;
      const isJson = isOn(flags, "--json");
      const folder = flagText(flags, "--save");
      if (folder !== undefined) await mkdir(folder, { recursive: true });

      const received = client.results({
        channel: flagText(flags, "--channel"),
        afterCursor: integerOf(flags, "--after", { min: 0, max: Number.MAX_SAFE_INTEGER, fallback: 0 }),
        stopAtEnd: !isOn(flags, "--follow"),
        autoAck: isOn(flags, "--ack"),
      });
      let count = 0;
      for await (const result of received) {
        await learn([result.output]);
        const file = folder === undefined ? undefined : await save(result, folder);
        if (isJson) {
          terminal.print(JSON.stringify({ ...resultAsJson(result), ...(file !== undefined && { file }) }));
        } else {
          if (count === 0) terminal.print(heading(terminal, columns));
          terminal.print(line(terminal, columns, { ...result, file }));
        }
        count++;
      }
      if (count === 0 && !isJson) terminal.printError("no results: the channel has none, or all are acknowledged");
      return 0;
    }),
};

const stateStyles: { readonly [state: string]: Style } = {
  SUCCEEDED: "good",
  DEAD: "bad",
  QUEUED: "waiting",
  RUNNING: "waiting",
};

/** The colour of a job's state. */
export const styleOfState = (state: string): Style | undefined => stateStyles[state];

const columns: readonly Column<JobResult & { readonly file: string | undefined }>[] = [
  column("CURSOR", ({ cursor }) => cursor, { align: "right", width: 6 }),
  column("JOB", ({ jobId }) => jobId, { width: 36 }),
  column("TASK", ({ task }) => task, { width: 12 }),
  column("STATE", ({ state }) => state, { width: 9, style: styleOfState }),
  column("WAITED", ({ queueWaitMs }) => duration(queueWaitMs), { align: "right", width: 7 }),
  column("RAN", ({ executionMs }) => duration(executionMs), { align: "right", width: 7 }),
  column("OUTPUT OR FAILURE", ({ file, ...result }) => file ?? endOf(result)),
];

/** How a job ended, in one line: its output, or why it failed. */
export function endOf(result: JobResult): string {
  if (result.state === "SUCCEEDED") return outputAsText(result.output, 100);
  return `${result.failure.reason}: ${result.failure.message}`;
}

/** A result for programs: plain JSON with times as ISO 8601 text. */
export function resultAsJson({ output, ...facts }: JobResult): object {
  return { ...facts, ...(facts.state === "SUCCEEDED" && outputAsJson(output)) };
}

/** Prints what a job returned. Returns the exit code; without JSON, which has the failure too, a failure is thrown. */
export function printResult(terminal: Terminal, result: JobResult, isJson: boolean): number {
  const { jobId, state } = result;
  if (isJson) terminal.print(JSON.stringify(resultAsJson(result)));
  else if (state === "SUCCEEDED") terminal.print(outputAsText(result.output, Number.POSITIVE_INFINITY));
  else throw new Error(`job ${jobId} is ${state}: ${endOf(result)}`);
  return state === "SUCCEEDED" ? 0 : 1;
}

/** Writes an output's bytes to `<folder>/<job id>.<extension>`; undefined when it has none. */
async function save({ jobId, output }: JobResult, folder: string): Promise<string | undefined> {
  const bytes = bytesOf(output);
  if (bytes === undefined) return undefined;
  const file = join(folder, basename(jobId) + extensionOf(bytes));
  await writeFile(file, bytes);
  return file;
}
