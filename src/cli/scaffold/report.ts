/** Prints the files that a command wrote, and the next steps. */
import { relative } from "node:path";
import { type Invocation, printAnswer } from "../command.ts";
import { column, table } from "../print/table.ts";
import type { WrittenFile } from "./files.ts";

/** `next`: commands to run, in order. */
export function reportWritten(invocation: Invocation, files: readonly WrittenFile[], next: readonly string[]): void {
  const columns = [
    column<WrittenFile>("", ({ isKept }) => (isKept ? "kept" : "wrote")),
    column<WrittenFile>("", ({ path }) => relative("", path)),
    column<WrittenFile>("", ({ what }) => what),
  ];
  const [, ...lines] = table(invocation.terminal, columns, files);
  printAnswer(invocation, { files, next }, [...lines, "", "Next:", ...next.map((command) => `  $ ${command}`)]);
}

/** Quotes a word for a shell if needed, such as a path with a space. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./^-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
