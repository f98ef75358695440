/** Prints the files that a command wrote, and the next steps. */
import { relative } from "node:path";
import { type Invocation, isOn } from "../command.ts";
import { table } from "../print/terminal.ts";
import type { WrittenFile } from "./files.ts";

/**
 * `next`: commands to run, in order.
 */
export function reportWritten(
  { flags, terminal }: Pick<Invocation, "flags" | "terminal">,
  files: readonly WrittenFile[],
  next: readonly string[],
): void {
  if (isOn(flags, "--json")) {
    terminal.print(JSON.stringify({ files, next }));
    return;
  }
  const rows = files.map(({ path, what, isKept }) => [isKept ? "kept" : "wrote", relative("", path), what]);
  const [, ...lines] = table(terminal, [{ title: "" }, { title: "" }, { title: "" }], rows);
  for (const line of lines) terminal.print(line);
  terminal.print("");
  terminal.print("Next:");
  for (const command of next) terminal.print(`  $ ${command}`);
}

/** Quotes a word for a shell if needed, such as a path with a space. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./^-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
