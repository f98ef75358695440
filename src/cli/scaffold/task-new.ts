import { join, relative } from "node:path";
import { type Command, type Invocation, isOn, jsonFlag, flagText, UsageError } from "../command.ts";
import { present, writeMissing } from "./files.ts";
import { building, originOf, type Packages, packageAround } from "./installation.ts";
import { namesOf } from "./names.ts";
import { tasksFolder } from "./project.ts";
import { quoted, reportWritten } from "./report.ts";
import { exampleInput, missingPackages, sharedFiles, taskFiles } from "./task.ts";

/** Writes a working task with its test. */
export const taskNew: Command = {
  usage: "task new <name>",
  summary: "write a task of your own, with its test",
  notes:
    "Writes into the folder of the setting tasksDir, or else into ./tasks. Existing files are not changed. " +
    "docs/first-task.md has the next steps.",
  async flags() {
    const { configFlag, settingFlags } = await import("../server/configuration.ts");
    const typed = { usage: "--typed", doc: "use protobuf messages for its input and output instead of a schema" };
    return [typed, configFlag, ...settingFlags(["tasksDir"]), jsonFlag];
  },
  examples: ["millpond task new greet", "millpond task new invoice.total --typed --tasks-dir ./billing"],
  run: writeTask,
};

async function writeTask(invocation: Invocation): Promise<number> {
  const { args, flags, env } = invocation;
  const names = await namesOf(args[0] as string);
  const isTyped = isOn(flags, "--typed");
  const folder = (await tasksDirOf({ flags, env })) ?? tasksFolder;
  const own = taskFiles(names, isTyped);
  const [taken] = present(folder, own);
  if (taken !== undefined) {
    throw new UsageError(`${relative("", taken)} already exists: choose another name, or remove it first`);
  }

  const around = await packageAround(folder);
  const root = around?.isModule ? around.folder : folder;
  const origin = await originOf();
  const missing = await missingPackages(folder, { isTyped, origin, from: root });
  const shared = sharedFiles(isTyped, around?.isModule ? undefined : missing);
  reportWritten(invocation, await writeMissing(folder, [...own, ...shared]), [
    ...(missing["millpond"] === undefined ? [] : building(origin)),
    ...installing(missing, root, around?.isModule ? around.packages : Object.keys(missing)),
    `node --test ${quoted(join(folder, `${names.file}.test.ts`))}`,
    await serving(invocation, folder),
    `npx millpond run ${names.task} '${exampleInput}'`,
  ]);
  return 0;
}

/** The command that installs missing packages, if any. `named`: the dependencies in the root's package.json. */
function installing(missing: Packages, root: string, named: readonly string[]): readonly string[] {
  const entries = Object.entries(missing);
  if (entries.length === 0) return [];
  const unnamed = entries.filter(([name]) => !named.includes(name));
  const packages = unnamed.map(([name, spec]) => (spec.startsWith("file:") ? spec.slice(5) : `${name}@${spec}`));
  const place = relative("", root);
  return [["npm", "install", ...(place === "" ? [] : ["--prefix", place]), ...packages].map(quoted).join(" ")];
}

/** The command that serves the folder and reloads changes; the flag is omitted if the configuration already names it. */
async function serving({ flags, env }: Invocation, folder: string): Promise<string> {
  const file = flagText(flags, "--config");
  const config = file === undefined ? [] : ["--config", file];
  const tasksDir = await tasksDirOf({ flags: { "--config": file }, env });
  return ["npx", "millpond", "serve", "--watch", ...config, ...(tasksDir === folder ? [] : ["--tasks-dir", folder])]
    .map(quoted)
    .join(" ");
}

/** The tasks folder in the settings. */
async function tasksDirOf(given: Pick<Invocation, "flags" | "env">): Promise<string | null> {
  const { loadConfig } = await import("../server/configuration.ts");
  return (await loadConfig(given)).config.tasksDir;
}
