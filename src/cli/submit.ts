import { readFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import { systemClock } from "../../clients/typescript/clock.ts";
import type { JobInfo, MillpondClient } from "../../clients/typescript/index.ts";
import { messageOf } from "../errors.ts";
import { type Command, type FlagValues, isOn, textOf, UsageError } from "./command.ts";
import { clientFlags, withClient } from "./connection.ts";
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
    { usage: "--json-file <file>", doc: "the input as JSON from a file; - is standard input" },
    { usage: "--file <file>", doc: "the input as bytes from a file; - is standard input" },
    { usage: "--channel <name>", doc: "where the result goes (default: default)" },
    { usage: "--id <uuid>", doc: "the job's id, so that submitting again is the same job (default: a new one)" },
    { usage: "--wait", doc: "wait for the result and print it" },
    ...clientFlags,
  ],
  examples: [
    'millpond submit echo --json \'{"hello": "world"}\'',
    'millpond submit image.resize --json \'{"path": "cat.jpg", "width": 640}\' --wait',
    "millpond submit echo --json-file input.json --json",
  ],
  run: async (invocation) => {
    const { args, flags, terminal } = invocation;
    const given = Array.isArray(flags["--json"]) ? (flags["--json"] as readonly string[]) : [];
    const isJson = given.includes(bareJson);
    const input = await readInput(
      given.filter((value) => value !== bareJson),
      flags,
    );
    return withClient(invocation, async (client) => {
      const id = await client.submit(args[0] as string, input, {
        channel: textOf(flags, "--channel"),
        id: textOf(flags, "--id"),
      });
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

/** The input from wherever it was given; undefined when it was not. */
async function readInput(json: readonly string[], flags: FlagValues): Promise<unknown> {
  const jsonFile = textOf(flags, "--json-file");
  const file = textOf(flags, "--file");
  const sources = [...json, jsonFile, file].filter((source) => source !== undefined);
  if (sources.length > 1)
    throw new UsageError("the input is given more than once: keep one of --json, --json-file, --file");
  if (json[0] !== undefined) return parseJson(json[0], "--json");
  if (jsonFile !== undefined) return parseJson((await readBytes(jsonFile)).toString("utf8"), jsonFile);
  return file === undefined ? undefined : await readBytes(file);
}

function parseJson(given: string, source: string): unknown {
  try {
    return JSON.parse(given);
  } catch (error) {
    throw new UsageError(
      `${source} is not JSON: ${messageOf(error)}; in a shell put it in single quotes: '{"key": "value"}'`,
    );
  }
}

async function readBytes(file: string): Promise<Buffer> {
  try {
    return file === "-" ? await buffer(process.stdin) : await readFile(file);
  } catch (error) {
    throw new UsageError(`the input cannot be read: ${messageOf(error)}`);
  }
}

async function finalResult(client: MillpondClient, id: string): Promise<NonNullable<JobInfo["result"]>> {
  for (let delayMs = firstLookMs; ; delayMs = Math.min(delayMs * 1.5, longestLookMs)) {
    const { result } = await client.getJob(id);
    if (result !== undefined) return result;
    await systemClock.sleep(delayMs);
  }
}
