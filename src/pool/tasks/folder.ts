/** Finds the files of a folder that may contain tasks. */
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { messageOf, StartError } from "../../errors.ts";

/** An entry of a tasks folder that is not a task, with the reason. */
export type Ignored = { readonly path: string; readonly why: string };

export type TaskFolder = { readonly files: readonly string[]; readonly ignored: readonly Ignored[] };

const code = /\.[cm]?[jt]s$/;
const declarations = /\.d\.[cm]?ts$/;
const test = /\.(?:test|spec)\.[cm]?[jt]sx?$/;
const jsx = /\.[jt]sx$/;

/**
 * Task files and ignored entries, by name. Hidden files, `node_modules`, type declarations and files that are not code
 * are not listed.
 */
export async function readTaskFolder(folder: string): Promise<TaskFolder> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    throw new StartError(`the tasks folder ${folder} cannot be read: ${messageOf(error)}: name one with --tasks-dir`, {
      exitCode: 2,
    });
  });
  const files: string[] = [];
  const ignored: Ignored[] = [];
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const { name } = entry;
    if (name.startsWith(".") || name === "node_modules" || declarations.test(name)) continue;
    const path = join(resolve(folder), name);
    const kind = await kindOf(entry, path);
    if (kind === "folder") ignored.push({ path: `${path}/`, why: "a folder: only files beside it are tasks" });
    else if (test.test(name)) ignored.push({ path, why: "a test" });
    else if (jsx.test(name)) ignored.push({ path, why: "Node.js does not run JSX: compile it to JavaScript" });
    else if (code.test(name) && kind === "file") files.push(path);
    else if (code.test(name)) ignored.push({ path, why: "it is not a file" });
  }
  return { files, ignored };
}

async function kindOf(entry: Dirent, path: string): Promise<"file" | "folder" | "other"> {
  const facts = entry.isSymbolicLink() ? await stat(path).catch(() => undefined) : entry;
  if (facts?.isDirectory()) return "folder";
  return facts?.isFile() ? "file" : "other";
}
