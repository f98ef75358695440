import { systemClock } from "../../clients/typescript/clock.ts";
import type { JobInfo, MillpondClient } from "../../clients/typescript/index.ts";
import { type Command, isOn, listOf } from "./command.ts";
import { clientFlags, withClient } from "./connection.ts";
import { inputFlags, readInput } from "./input.ts";
import { jobFlags, jobOptionsOf } from "./job-flags.ts";
import { outputAsText } from "./output.ts";
import { resultAsJson } from "./results.ts";

/** Between two looks at a job that is waited for: quick at first. */
const firstLookMs = 20;
const longestLookMs = 500;
/** Stands for `--json` without a value; no argument of a process can hold this character. */
const bareJson = "\0";

/** Submits one job, and waits for its result if asked to. */
export const submit: Command = {
  usage: "submit <task>",
  summary: "submit one job and print its id",
  notes:
    "`--json` with a value is the job's input; alone, as with every command, it asks for output in JSON. Both may be " +
    "given. A value that begins with a dash is written `--json=-5`. With --wait the result is printed in place of the " +
    "id, and the exit code is 1 when the job did not succeed; the result stays in its channel until acknowledged.",
  flags: [
    { usage: "--json [input]", doc: "the input as JSON; without a value: print JSON", bare: bareJson, repeats: true },
    ...inputFlags,
    ...jobFlags,
    { usage: "--wait", doc: "wait for the result and print it" },
    ...clientFlags,
  ],
  examples: [
    'millpond submit echo --json \'{"hello": "world"}\'',
    'millpond submit image.resize --json \'{"path": "cat.jpg", "width": 640}\' --wait',
    "millpond submit echo --json-file input.json --json",
    "millpond submit sleep --json '{\"durationMs\": 500}' --key invoice-4711 --delay 5m --max-attempts 3 --label customer=17",
  ],
  run: async (invocation) => {
    const { args, flags, terminal } = invocation;
    const given = listOf(flags, "--json");
    const isJson = given.includes(bareJson);
    const input = await readInput(
      given.filter((value) => value !== bareJson),
      "--json",
      flags,
    );
    const options = jobOptionsOf(flags);
    return withClient(invocation, async (client) => {
      const id = await client.submit(args[0] as string, input, options);
      if (!isOn(flags, "--wait")) {
        terminal.print(isJson ? JSON.stringify({ jobId: id }) : id);
        return 0;
      }
      const result = await finalResult(client, id);
      if (isJson) terminal.print(JSON.stringify(resultAsJson(result)));
      else if (result.state === "SUCCEEDED") terminal.print(outputAsText(result.output, Number.POSITIVE_INFINITY));
      else throw new Error(`job ${id} is ${result.state}: ${result.failure.reason}: ${result.failure.message}`);
      return result.state === "SUCCEEDED" ? 0 : 1;
    });
  },
};

async function finalResult(client: MillpondClient, id: string): Promise<NonNullable<JobInfo["result"]>> {
  for (let delayMs = firstLookMs; ; delayMs = Math.min(delayMs * 1.5, longestLookMs)) {
    const { result } = await client.getJob(id);
    if (result !== undefined) return result;
    await systemClock.sleep(delayMs);
  }
}
