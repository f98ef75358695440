/** Finds the positions of faults in users' files. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { fileURLToPath } from "node:url";

export type SourcePosition = {
  readonly file: string;
  /** From 1; undefined when only the file is known. */
  readonly line: number | undefined;
  /** The text of the line, if available. */
  readonly text?: string | undefined;
};

const ownCode = fileURLToPath(new URL("../../", import.meta.url));
/** How long Node.js may take to find a syntax error. */
const checkMs = 10_000;

/** The position from the excerpt that Node.js puts in front of some stacks, or from the first frame in a user's file. */
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

/** The first line where this is an option or a name that is assigned; otherwise the first with that word. */
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
 * V8 does not report the position of a module's syntax error, but `node --check` does, without running the file.
 * `message`: of the error; the check reports another one, or none, if the error is in an imported file.
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
    return undefined; // its types cannot be stripped, so the error is not in this file
  }
}

/** Strips types, keeping every character's position. Suppresses the warning of Node.js, which users cannot act on. */
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
