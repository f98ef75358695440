/** Folders of users' tasks, loaded as the server does it. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { StartError } from "../../src/errors.ts";
import { type LoadedTasks, loadTasks, type TaskSources } from "../../src/pool/tasks.ts";
import { keptLog } from "../support/samples.ts";

/** Texts; as a URL, what the path is a link to. */
export type Files = { readonly [path: string]: string | URL };

export const millpond = 'import { defineTask } from "millpond";\n';
export const task = (name: string, more = "") =>
  `export default defineTask({ name: "${name}", pool: "cpu", ${more}${more.includes("run") ? "" : "run: () => 1"} });\n`;
export const good = (name = "good") => millpond + task(name);

/** A package of this repository, for the folder's own `node_modules`. */
export const packageLink = (name: string) => new URL(`../../node_modules/${name}`, import.meta.url);

/** A folder with these files, and what to load it needs. */
export async function sourcesOf(t: TestContext, files: Files, more: Partial<TaskSources> = {}): Promise<TaskSources> {
  const folder = await mkdtemp(join(tmpdir(), "millpond-folder-"));
  t.after(() => rm(folder, { recursive: true }));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    if (text instanceof URL) await symlink(text, join(folder, path));
    else await writeFile(join(folder, path), text);
  }
  return {
    ...{ builtIn: [], folders: [folder], pools: ["cpu", "io"], settings: {}, resourceSettings: {} },
    ...{ loadMs: 60_000, checkMs: 10_000, clock: systemClock, log: keptLog().log },
    ...more,
  };
}

export async function load(t: TestContext, files: Files): Promise<LoadedTasks> {
  const loaded = await loadTasks(await sourcesOf(t, files));
  t.after(() => loaded.stop());
  return loaded;
}

/** The faults that keep the server from starting, without the folder's name. */
export async function faults(
  t: TestContext,
  files: Files,
  more: Partial<TaskSources> = {},
): Promise<readonly string[]> {
  const sources = await sourcesOf(t, files, more);
  const error = await loadTasks(sources).then(
    () => assert.fail("the folder was loaded"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof StartError, String(error));
  assert.equal(error.exitCode, 2);
  const [title = "", ...lines] = error.message.replaceAll(`${sources.folders.join()}/`, "").split("\n  ");
  assert.equal(title, "tasks that cannot be served:");
  return lines;
}
