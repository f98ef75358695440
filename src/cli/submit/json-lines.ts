/** JSON Lines: a file with one JSON value per line, read as a stream. */
import { createReadStream } from "node:fs";
import { messageOf } from "../../errors.ts";
import { UsageError } from "../command.ts";
import { parseExactJson } from "./exact-json.ts";

/** A non-empty line: its value, or why it has none. Lines are numbered from 1. */
export type JsonLine = { readonly line: number } & (
  | { readonly value: unknown; readonly problem?: undefined }
  | { readonly value?: undefined; readonly problem: string }
);

/** Yields the lines of a file, `-` for standard input, and skips empty ones. Throws a UsageError if it is not UTF-8. */
export async function* readJsonLines(file: string): AsyncGenerator<JsonLine, void, undefined> {
  let number = 0;
  for await (const text of linesOf(file === "-" ? process.stdin : createReadStream(file))) {
    number++;
    if (text.trim() !== "") yield { line: number, ...valueOf(text) };
  }
}

function valueOf(text: string): { readonly value: unknown } | { readonly problem: string } {
  try {
    return { value: parseExactJson(text) };
  } catch (error) {
    if (error instanceof RangeError) return { problem: `cannot be sent unchanged: ${error.message}` };
    return { problem: `is not JSON: ${messageOf(error)}` };
  }
}

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  for await (const chunk of readable(chunks)) {
    const lines = decoded(() => decoder.decode(chunk, { stream: true })).split("\n");
    lines[0] = rest + (lines[0] ?? "");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  yield rest + decoded(() => decoder.decode());
}

async function* readable(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* chunks;
  } catch (error) {
    throw new UsageError(`the input cannot be read: ${messageOf(error)}`);
  }
}

function decoded(decode: () => string): string {
  try {
    return decode();
  } catch {
    throw new UsageError("the JSON lines are not UTF-8: convert them, for example with iconv -t UTF-8");
  }
}
