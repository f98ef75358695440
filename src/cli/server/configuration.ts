/**
 * Collects the input of `parseConfig`: the file, the environment, the flags and the number of cores. Imported lazily,
 * only by commands that need it: loading the checks of settings takes half of a command's start.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { type Config, type ConfigSources, parseConfig } from "../../config.ts";
import { options } from "../../config/options.ts";
import { messageOf, StartError } from "../../errors.ts";
import { type Flag, type Invocation, flagText } from "../command.ts";

/** Read if it exists in the current folder and no other file is named. */
export const defaultConfigFile = "millpond.yaml";

export const configFlag: Flag = {
  usage: "--config <file>",
  doc: `YAML file with settings (or MILLPOND_CONFIG; default: ${defaultConfigFile}, if it exists)`,
};

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

/** The configuration from a command line, its environment and a file, and the path of that file. Throws a StartError. */
export async function loadConfig({
  flags,
  env,
}: Pick<Invocation, "flags" | "env">): Promise<{ readonly config: Config; readonly file: string | undefined }> {
  const path =
    flagText(flags, "--config") ?? (env.MILLPOND_CONFIG || (existsSync(defaultConfigFile) && defaultConfigFile));
  const file = path ? await readConfigFile(path) : null;
  const config = parseConfig({
    file,
    env,
    flags: Object.fromEntries(Object.keys(flags).map((flag) => [flag, flagText(flags, flag)])),
    cores: availableParallelism(),
  });
  return { config, file: file?.name };
}

/** Reads the configuration file. Throws a StartError (exit code 2) that names it. */
export async function readConfigFile(path: string): Promise<NonNullable<ConfigSources["file"]>> {
  try {
    return { name: path, text: await readFile(path, "utf8") };
  } catch (error) {
    throw new StartError(
      `the configuration file cannot be read (${messageOf(error)}): check its path and permissions`,
      {
        exitCode: 2,
        cause: error,
      },
    );
  }
}
