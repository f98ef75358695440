import { type Command, isOn, jsonFlag } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { inputFlags, readInput } from "./input.ts";
import { jobFlags, jobOptionsOf, traceNote } from "./job-flags.ts";
import { printResult } from "../jobs/results.ts";
import { durationOf } from "../times.ts";

/** Runs one task, like a function call. */
export const run: Command = {
  usage: "run <task> [input]",
  summary: "run a task and print what it returns, like a function call",
  notes:
    "The input is JSON; put `--` before one that starts with a dash. The deadline covers the wait for a worker and all " +
    "attempts. Interrupting the command cancels the job, unless --detach is given; then its result goes to its channel. " +
    `The exit code is 1 when the job did not succeed. ${traceNote}`,
  flags: [
    {
      usage: "--deadline <duration>",
      doc: "how long it may take in total, such as 30s, at most 24d (default: no bound)",
    },
    { usage: "--detach", doc: "the job continues when this command ends before it" },
    ...inputFlags,
    ...jobFlags.filter(({ usage }) => !usage.startsWith("--discard")),
    ...clientFlags,
    jsonFlag,
  ],
  examples: [
    'millpond run echo \'{"hello": "world"}\'',
    'millpond run image.resize \'{"path": "cat.jpg", "width": 640}\' --deadline 30s',
  ],
  run: async (invocation) => {
    const { args, flags, env, terminal } = invocation;
    const [task = "", ...given] = args;
    const input = await readInput(given, "the argument", flags);
    const { discardResult: _never, ...options } = jobOptionsOf(flags, env);
    const deadlineMs = durationOf(flags, "--deadline", { min: "1ms", max: "24d" });
    return withClient(invocation, async (client, learn) => {
      const result = await client.run(task, input, { ...options, deadlineMs, detach: isOn(flags, "--detach") });
      await learn([result.output]);
      return printResult(terminal, result, isOn(flags, "--json"));
    });
  },
};
