/** Runs the `millpond` command as a user does: a process of its own, whose output is a pipe. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

/** The file of the command. */
export const mainFile = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

/** How a process ended. */
export type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

export type RunOptions = {
  readonly env?: { readonly [name: string]: string };
  readonly input?: string;
  /** The folder it runs in. Default: that of the tests. */
  readonly cwd?: string;
  /** A shell command to run before, such as `ulimit -f 100`. */
  readonly before?: string;
};

/** Starts the command; variables of the machine that begin with MILLPOND_ are left out. */
export function start(args: readonly string[], { env = {}, input, cwd, before }: RunOptions = {}) {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(MILLPOND_|NODE_OPTIONS$|FORCE_COLOR$)/.test(name),
  );
  const command = [process.execPath, mainFile, ...args];
  const shell = before === undefined ? [] : ["sh", "-c", `${before}; exec "$0" "$@"`];
  const [file, ...rest] = [...shell, ...command] as [string, ...string[]];
  const child = spawn(file, rest, { cwd, env: { ...Object.fromEntries(inherited), ...env } });
  child.stdin.on("error", () => undefined); // a command that does not read its input may be gone already
  child.stdin.end(input);
  return child;
}

/** Runs the command to its end. */
export async function run(args: readonly string[], options?: RunOptions): Promise<Ended> {
  const child = start(args, options);
  const exited = new Promise<number | null>((resolve) => child.on("exit", resolve));
  const [code, stdout, stderr] = await Promise.all([exited, text(child.stdout), text(child.stderr)]);
  return { code, stdout, stderr };
}

/** The output of a command that must succeed. */
export function outputOf({ code, stdout, stderr }: Ended): string {
  assert.equal(code, 0, stderr || stdout);
  return stdout.trimEnd();
}
