/** What the server under test can do, and what the machine has: some faults need one or the other. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Whether a setting exists, such as `leaseMs`. */
export function hasSetting(root: string, key: string): boolean {
  return readFileSync(join(root, "src", "config", "options.ts"), "utf8").includes(`"${key}"`);
}

/** The names of the commands that this machine lacks. */
export function missing(commands: readonly string[]): string[] {
  return commands.filter((name) => spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0);
}

export const isRoot = () => process.getuid?.() === 0;

/** Runs a command of the machine; throws with what it said when it fails. */
export function run(command: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", timeout: 30_000 });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${error?.message ?? `${stdout}${stderr}`.trim()}`);
  return stdout.trim();
}
