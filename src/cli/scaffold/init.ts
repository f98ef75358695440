import { join } from "node:path";
import { type Command, type Invocation, jsonFlag, UsageError } from "../command.ts";
import { present, writeMissing } from "./files.ts";
import { building, originOf, packageAround } from "./installation.ts";
import { namesOf } from "./names.ts";
import { projectFiles, tasksFolder } from "./project.ts";
import { quoted, reportWritten } from "./report.ts";
import { exampleInput, sharedFiles, taskFiles } from "./task.ts";

const example = "greet";

/** Writes a project: a task with its test, and the files needed to serve it. */
export const init: Command = {
  usage: "init [folder]",
  summary: "write a project: a task, its test, the server's settings, a compose file",
  notes: "Writes into the current folder when none is given. Existing files are not changed, and are listed as kept.",
  flags: [jsonFlag],
  examples: ["millpond init shop", "millpond init"],
  run: writeProject,
};

async function writeProject(invocation: Invocation): Promise<number> {
  const [folder = "."] = invocation.args;
  if (folder === "") throw new UsageError('the folder is "": name one, or leave it out for the current folder');
  const origin = await originOf();
  const project = await projectFiles(folder, origin);
  const hasPackage = present(folder, [{ path: "package.json" }]).length > 0;
  const isModule = !hasPackage || (await packageAround(folder))?.isModule;
  const tasks = [...taskFiles(await namesOf(example), false), ...sharedFiles(false, isModule ? undefined : {})];
  const files = [...project, ...tasks.map((file) => ({ ...file, path: join(tasksFolder, file.path) }))];
  reportWritten(invocation, await writeMissing(folder, files), [
    ...building(origin),
    ...(folder === "." ? [] : [`cd ${quoted(folder)}`]),
    "npm install",
    "npm test",
    "npx millpond serve",
    `npx millpond run ${example} '${exampleInput}'`,
  ]);
  return 0;
}
