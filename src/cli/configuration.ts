/** Brings the outside to `parseConfig`: the file, the environment, the flags and the number of cores. */
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { type Config, type ConfigSources, parseConfig } from "../config.ts";
import { options } from "../config/options.ts";
import { messageOf, StartError } from "../errors.ts";
import { type Flag, type Invocation, textOf } from "./command.ts";

export const configFlag: Flag = { usage: "--config <file>", doc: "YAML file with settings (or MILLPOND_CONFIG)" };

/** Flags for settings, by key; all settings when no key is named. */
export function settingFlags(keys?: readonly string[]): readonly Flag[] {
  return options
    .filter(({ key }) => keys?.includes(key) ?? true)
    .map(({ flag, default: value, unit, doc }) => {
      const fallback = value === null ? "none" : typeof value === "string" ? value : JSON.stringify(value);
      const text = `${doc} (default: ${[fallback, value === null ? "" : unit].filter((word) => word !== "").join(" ")})`;
      return typeof value === "boolean"
        ? { usage: `${flag} [true|false]`, bare: "true", doc: text }
        : { usage: `${flag} <value>`, doc: text };
    });
}

/** The configuration that a command line and its environment ask for. Throws a StartError. */
export async function loadConfig({ flags, env }: Pick<Invocation, "flags" | "env">): Promise<Config> {
  const path = textOf(flags, "--config") ?? (env.MILLPOND_CONFIG || undefined);
  return parseConfig({
    file: path === undefined ? null : await readConfigFile(path),
    env,
    flags: Object.fromEntries(Object.keys(flags).map((flag) => [flag, textOf(flags, flag)])),
    cores: availableParallelism(),
  });
}

/** Reads the configuration file. Throws a StartError (exit code 2) that names it. */
export async function readConfigFile(path: string): Promise<NonNullable<ConfigSources["file"]>> {
  try {
    return { name: path, text: await readFile(path, "utf8") };
  } catch (error) {
    throw new StartError(`the configuration file cannot be read (${messageOf(error)}): name one that can be`, {
      exitCode: 2,
      cause: error,
    });
  }
}
