/** Follows folders, each without those below it: that works on every system, and leaves `node_modules` alone. */
import { type FSWatcher, watch } from "node:fs";
import { dirname } from "node:path";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";

export type FolderWatch = {
  /** Follows these folders and no others; of one that does not exist, the nearest above it that does. Safe to repeat. */
  follow(folders: ReadonlySet<string>): void;
  stop(): void;
};

/** Systems have a bound on what can be followed, which all programs share. */
const maxFolders = 1_000;

/** `onEvent`: something in one of the folders may have changed. It keeps no process alive. */
export function createFolderWatch(onEvent: () => void, log: Log): FolderWatch {
  let watchers: readonly FSWatcher[] = [];
  const reported = new Set<string>();

  function reportOnce(folder: string, error: string): void {
    if (reported.has(folder)) return;
    reported.add(folder);
    log.warn({ folder, error }, "a folder cannot be watched: after a change there, restart the server");
  }

  function open(folder: string): FSWatcher | undefined {
    try {
      const watcher = watch(folder, { persistent: false }, onEvent);
      return watcher.on("error", onEvent); // the folder is gone: it is looked for again
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT" && dirname(folder) !== folder)
        return open(dirname(folder));
      reportOnce(folder, messageOf(error));
      return undefined;
    }
  }

  return {
    follow(folders) {
      const former = watchers;
      const wanted = [...folders];
      // all of them again: one that was removed and made again is another folder
      watchers = wanted
        .slice(0, maxFolders)
        .map(open)
        .filter((watcher) => watcher !== undefined);
      for (const watcher of former) watcher.close();
      if (wanted.length > maxFolders) reportOnce(wanted[maxFolders] as string, `${maxFolders} others are watched`);
    },
    stop() {
      for (const watcher of watchers) watcher.close();
      watchers = [];
    },
  };
}
