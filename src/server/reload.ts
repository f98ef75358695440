/**
 * Reloads the users' tasks when a file of theirs changes: for development. The files are those of the tasks folder and all
 * that they import, but for packages. Tasks that are faulty change nothing: those of before are served until they are good.
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
  /** What was read by the load before the start. */
  readonly sources: Sources;
  /** Loads the folder, and puts what it reads into this map, also when it rejects. */
  readonly load: (sources: Map<string, Source>) => Promise<LoadedTasks>;
  /** Takes over what was loaded and is good. */
  readonly replace: (loaded: LoadedTasks) => void;
  readonly onReload: (reload: Reload) => void;
  readonly clock: Clock;
  readonly log: Log;
};

/** What a load was made of, whatever came of it. */
type LoadedFiles = { readonly files: Files; readonly sources: Sources };
/** Those that may hold tasks, by the paths that modules have. Undefined: the folder cannot be read. */
type Files = readonly string[] | undefined;

/** An editor, or a checkout, writes several times: nothing is loaded before there was no change for so long, */
const quietMs = 100;
/** or changes have gone on for so long. */
const longestMs = 2_000;

export function createReloader(parts: ReloaderParts): Service {
  const { folder, clock } = parts;
  const folders = createFolderWatch(hint, parts.log);
  let last: LoadedFiles = { files: [], sources: parts.sources };
  /** Since when there are changes that were not looked at. */
  let sinceMs: number | undefined;
  let cancelTimer = () => {};
  let looking: Promise<void> | undefined;
  let isStopped = false;

  function hint(): void {
    if (isStopped) return;
    const nowMs = clock.monotonicMs();
    sinceMs ??= nowMs;
    cancelTimer();
    cancelTimer = clock.after(Math.max(Math.min(quietMs, sinceMs + longestMs - nowMs), 0), () => {
      if (looking) return; // it polls again when it is done
      sinceMs = undefined;
      looking = look().finally(() => {
        looking = undefined;
        if (sinceMs !== undefined) hint();
      });
    });
  }

  async function look(): Promise<void> {
    folders.follow(foldersOf(last)); // before looking: what changes from now on is an event
    const changed = await changesSince(last);
    if (changed.length === 0 || isStopped) return;
    const sources = new Map<string, Source>();
    const files = await filesIn(folder);
    const loaded = await parts.load(sources).catch((error: unknown) => messageOf(error));
    last = { files, sources };
    folders.follow(foldersOf(last));
    if ((await changesSince(last)).length > 0) hint(); // a folder that was not followed before gave no event
    if (typeof loaded === "string") return parts.onReload({ kind: "faulty", changed, why: loaded });
    if (isStopped) return loaded.stop();
    parts.replace(loaded);
    parts.onReload({ kind: "reloaded", changed, tasks: [...loaded.tasks.keys()] });
  }

  /** Paths of files that came, went, or were written. */
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
      await looking;
    },
  };
}

async function filesIn(folder: string): Promise<Files> {
  const read = await readTaskFolder(folder).catch(() => undefined);
  return read && Promise.all(read.files.map((path) => realpath(path).catch(() => path)));
}
