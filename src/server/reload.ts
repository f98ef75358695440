/**
 * Reloads users' tasks when one of their files changes, for development. Watches the files of the tasks folder and
 * everything they import, except packages. If the new tasks are faulty, the previous ones stay in use.
 */
import { realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import type { Service } from "../lifecycle.ts";
import type { Log } from "../log.ts";
import { markOf, type Source, type Sources } from "../pool/module-hooks.ts";
import type { LoadedTasks } from "../pool/tasks.ts";
import { readTaskFolder } from "../pool/tasks/folder.ts";
import { createFolderWatch } from "./folder-watch.ts";

export type Reload =
  | { readonly kind: "reloaded"; readonly changed: readonly string[]; readonly tasks: readonly string[] }
  /** `why` has a line for each fault, with its file. */
  | { readonly kind: "faulty"; readonly changed: readonly string[]; readonly why: string };

export type ReloaderParts = {
  readonly folder: string;
  /** The files that the first load has read. */
  readonly sources: Sources;
  /** Loads the folder, and adds the files it reads to this map, even if it rejects. */
  readonly load: (sources: Map<string, Source>) => Promise<LoadedTasks>;
  /** Replaces the served tasks by valid ones. */
  readonly replace: (loaded: LoadedTasks) => void;
  readonly onReload: (reload: Reload) => void;
  readonly clock: Clock;
  readonly log: Log;
};

/** The files of a load, successful or not. */
type LoadedFiles = { readonly files: Files; readonly sources: Sources };
/** Paths of files that may contain tasks. Undefined: the folder cannot be read. */
type Files = readonly string[] | undefined;

/** Editors and checkouts write several times: the tasks are loaded once there was no change for this long, */
const quietMs = 100;
/** or changes have continued for this long. */
const longestMs = 2_000;

export function createReloader(parts: ReloaderParts): Service {
  const { folder, clock } = parts;
  const folders = createFolderWatch(hint, parts.log);
  let last: LoadedFiles = { files: [], sources: parts.sources };
  /** When the first unhandled change was noticed. */
  let sinceMs: number | undefined;
  let cancelTimer = () => {};
  let checking: Promise<void> | undefined;
  let isStopped = false;

  function hint(): void {
    if (isStopped) return;
    const nowMs = clock.monotonicMs();
    sinceMs ??= nowMs;
    cancelTimer();
    cancelTimer = clock.after(Math.max(Math.min(quietMs, sinceMs + longestMs - nowMs), 0), () => {
      if (checking) return; // it checks again when it is done
      sinceMs = undefined;
      checking = check().finally(() => {
        checking = undefined;
        if (sinceMs !== undefined) hint();
      });
    });
  }

  async function check(): Promise<void> {
    folders.follow(foldersOf(last)); // before checking, so that later changes are events
    const changed = await changesSince(last);
    if (changed.length === 0 || isStopped) return;
    const sources = new Map<string, Source>();
    const files = await filesIn(folder);
    const loaded = await parts.load(sources).catch((error: unknown) => messageOf(error));
    last = { files, sources };
    folders.follow(foldersOf(last));
    if ((await changesSince(last)).length > 0) hint(); // a folder that was not watched before emitted no event
    if (typeof loaded === "string") return parts.onReload({ kind: "faulty", changed, why: loaded });
    if (isStopped) return loaded.stop();
    parts.replace(loaded);
    parts.onReload({ kind: "reloaded", changed, tasks: [...loaded.tasks.keys()] });
  }

  /** Paths of files that were added, removed or written. */
  async function changesSince({ files, sources }: LoadedFiles): Promise<readonly string[]> {
    const now = await filesIn(folder);
    const changed = new Set(now?.filter((path) => !files?.includes(path)));
    for (const path of files ?? []) if (!now?.includes(path)) changed.add(path);
    if ((now === undefined) !== (files === undefined)) changed.add(folder);
    for (const [url, source] of sources) {
      const path = fileURLToPath(url);
      const mark = markOf(await stat(path).catch(() => undefined));
      if (mark !== source.mark) changed.add(path);
    }
    return [...changed];
  }

  function foldersOf({ sources }: LoadedFiles): ReadonlySet<string> {
    return new Set([folder, ...[...sources.keys()].map((url) => dirname(fileURLToPath(url)))]);
  }

  return {
    name: "the watch of the tasks folder",
    async start() {
      const { sources } = last;
      const loaded = (path: string) => sources.has(pathToFileURL(path).href);
      last = { sources, files: (await filesIn(folder))?.filter(loaded) };
      folders.follow(foldersOf(last));
      hint(); // a file may have changed since it was loaded
    },
    async stop() {
      isStopped = true;
      cancelTimer();
      folders.stop();
      await checking;
    },
  };
}

async function filesIn(folder: string): Promise<Files> {
  const read = await readTaskFolder(folder).catch(() => undefined);
  return read && Promise.all(read.files.map((path) => realpath(path).catch(() => path)));
}
