/** Where in the user's files something went wrong. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { fileURLToPath } from "node:url";

export type SourcePosition = {
  readonly file: string;
  /** From 1; undefined when only the file is known. */
  readonly line: number | undefined;
  /** The line itself, where it is at hand. */
  readonly text?: string | undefined;
};

const ownCode = fileURLToPath(new URL("../../", import.meta.url));
/** How long Node.js may take to look for a syntax error. */
const checkMs = 10_000;

/** By the excerpt that Node.js puts in front of some stacks, or by the first frame in a file of the user's. */
export function positionOf(error: unknown): SourcePosition | undefined {
  const stack = error instanceof Error && typeof error.stack === "string" ? error.stack : "";
  const excerpt = /^((?:file:\/\/)?\/[^\n]+):(\d+)\n([^\n]*)\n/.exec(stack);
  if (excerpt) return { file: pathOf(excerpt[1] as string), line: Number(excerpt[2]), text: excerpt[3] };
  return positionInStack(stack);
}

export function positionInStack(stack: string): SourcePosition | undefined {
  const frames = [...stack.matchAll(/(?<=[\s(])((?:file:\/\/)?\/[^\n()]+?):(\d+):\d+\)?$/gm)];
  for (const [, file, line] of frames) {
    const path = pathOf(file as string);
    if (!path.startsWith(ownCode) && !path.includes("/node_modules/")) return { file: path, line: Number(line) };
  }
  return undefined;
}

/** Line of the first place where this is an option or a name that is given a value; else of the first with that word. */
export function lineOf(file: string, word: string): number | undefined {
  const escaped = word.replace(/[^\w]/g, "\\$&");
  const asName = new RegExp(`(?<![\\w$.])${escaped}(?=\\s*[:(,}=])`);
  return lineWith(file, asName) ?? lineWith(file, new RegExp(`(?<![\\w$])${escaped}(?![\\w$])`));
}

/** Line of the first match. */
export function lineWith(file: string, pattern: RegExp): number | undefined {
  try {
    const text = readFileSync(file, "utf8");
    const at = text.search(pattern);
    return at === -1 ? undefined : text.slice(0, at).split("\n").length;
  } catch {
    return undefined;
  }
}

/**
 * V8 does not report the position of a module's syntax error, only Node.js's own check does. The file is not run. `message`: that of
 * the error; the check finds another one when the error lies in a file that this one imports.
 */
export function positionOfSyntaxError(file: string, message: string): SourcePosition | undefined {
  try {
    const text = readFileSync(file, "utf8");
    const input = /\.[cm]?ts$/.test(file) ? withoutTypes(text) : text;
    const args = ["--check", "--input-type=module", "-"];
    const { stderr } = spawnSync(process.execPath, args, { input, encoding: "utf8", timeout: checkMs });
    const [, line, excerpt] = /^\[stdin\]:(\d+)\n([^\n]*)\n/.exec(stderr) ?? [];
    return line !== undefined && stderr.includes(message) ? { file, line: Number(line), text: excerpt } : undefined;
  } catch {
    return undefined; // its types cannot be stripped: the error is not in this file
  }
}

/** Every character keeps its place. Without the warning that Node.js adds: its reader could do nothing about it. */
function withoutTypes(text: string): string {
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    return stripTypeScriptTypes(text);
  } finally {
    process.emitWarning = emitWarning;
  }
}

function pathOf(file: string): string {
  return file.startsWith("file:") ? fileURLToPath(file) : file;
}
