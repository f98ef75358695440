/** A copy of the code in which a bug is planted, in a folder of its own that goes away with it. */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Code } from "../simulation/code.ts";

/** Exact text of a file of `src`, which is there once, and what takes its place. */
export type Replacement = { readonly file: string; readonly text: string; readonly by: string };

export type PlantedCopy = { readonly folder: string; remove(): Promise<void> };

/** The clone that is copied. */
export const root = fileURLToPath(new URL("../../..", import.meta.url));

/** Rejects when a text is not there, or not once: then the code has changed and the bug is not planted. */
export async function plantCopy(replacements: readonly Replacement[]): Promise<PlantedCopy> {
  const folder = await mkdtemp(join(tmpdir(), "nemesis-bug-"));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    for (const part of ["src", "clients", "package.json"]) {
      await cp(join(root, part), join(folder, part), { recursive: true });
    }
    await symlink(join(root, "node_modules"), join(folder, "node_modules"), "dir");
    for (const { file, text, by } of replacements) {
      const path = join(folder, "src", file);
      const pieces = (await readFile(path, "utf8")).split(text);
      if (pieces.length !== 2) throw new Error(`${file} has ${pieces.length - 1} times: ${text}`);
      await writeFile(path, pieces.join(by));
    }
    return { folder, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** What a simulation needs of a copy. */
export async function codeIn({ folder }: PlantedCopy): Promise<Code> {
  const load = (file: string) => import(pathToFileURL(join(folder, "src", file)).href);
  const [engine, draining, shutdown, memory] = (await Promise.all(
    ["engine/engine.ts", "engine/upkeep/draining.ts", "server/shutdown.ts", "store/memory.ts"].map(load),
  )) as [Code, Code, Code, Code];
  return {
    createEngine: engine.createEngine,
    createDraining: draining.createDraining,
    createShutdown: shutdown.createShutdown,
    createMemoryStore: memory.createMemoryStore,
  };
}
