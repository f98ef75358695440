/** Watches folders without their subfolders: that works on every system, and excludes `node_modules`. */
import { type FSWatcher, watch } from "node:fs";
import { dirname } from "node:path";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";

export type FolderWatch = {
  /** Watches exactly these folders; for a missing one, its nearest existing parent. Safe to repeat. */
  follow(folders: ReadonlySet<string>): void;
  stop(): void;
};

/** Bound on watched folders: the system has a limit that all programs share. */
const maxFolders = 1_000;

/**
 * `onEvent`: something in one of the folders may have changed. Does not keep the process alive.
 */
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
      return watcher.on("error", onEvent); // the folder is gone: the next `follow` watches its parent
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
      // all of them again: a folder that was removed and created again needs a new watch
      watchers = wanted
        .slice(0, maxFolders)
        .map(open)
        .filter((watcher) => watcher !== undefined);
      for (const watcher of former) watcher.close();
      if (wanted.length > maxFolders)
        reportOnce(wanted[maxFolders] as string, `the limit of ${maxFolders} watched folders is reached`);
    },
    stop() {
      for (const watcher of watchers) watcher.close();
      watchers = [];
    },
  };
}
