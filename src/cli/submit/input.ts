/** The input of a job: JSON on the command line, or a file. */
import { readFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import { messageOf } from "../../errors.ts";
import { decodeJson, parseExactJson } from "./exact-json.ts";
import { type Flag, type FlagValues, flagText, UsageError } from "../command.ts";

export const inputFlags: readonly Flag[] = [
  { usage: "--json-file <file>", doc: "the input as JSON from a file; - is standard input" },
  { usage: "--file <file>", doc: "the input as bytes from a file; - is standard input" },
];

/**
 * The input from the command line or a file; undefined if there is none. `json` holds values from the command line,
 * given as `source` names. Throws a UsageError.
 */
export async function readInput(json: readonly string[], source: string, flags: FlagValues): Promise<unknown> {
  const jsonFile = flagText(flags, "--json-file");
  const file = flagText(flags, "--file");
  const sources = [...json, jsonFile, file].filter((source) => source !== undefined);
  if (sources.length > 1)
    throw new UsageError(`the input is given more than once: keep one of ${source}, --json-file, --file`);
  if (json[0] !== undefined) return parseJson(json[0], source);
  if (jsonFile !== undefined) return parseJson(textOfFile(await readBytes(jsonFile), jsonFile), jsonFile);
  return file === undefined ? undefined : await readBytes(file);
}

function textOfFile(bytes: Uint8Array, file: string): string {
  try {
    return decodeJson(bytes);
  } catch {
    const remedy = "save it as UTF-8, or send it as bytes with --file";
    throw new UsageError(`${file} is neither UTF-8 nor UTF-16, so it is not JSON: ${remedy}`);
  }
}

function parseJson(given: string, source: string): unknown {
  try {
    return parseExactJson(given);
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`${source}: ${error.message}`);
    const remedy = given.startsWith("@")
      ? `to read a file, use --json-file ${given.slice(1)}`
      : `in a shell, put it in single quotes: '{"key": "value"}'`;
    throw new UsageError(`${source} is not JSON: ${messageOf(error)}; ${remedy}`);
  }
}

async function readBytes(file: string): Promise<Buffer> {
  try {
    return file === "-" ? await buffer(process.stdin) : await readFile(file);
  } catch (error) {
    throw new UsageError(`the input cannot be read: ${messageOf(error)}`);
  }
}
