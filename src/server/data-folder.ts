/** The folder of the store's file, and the watch on its disk space. */
import { mkdir, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Config } from "../config.ts";
import {
  createDiskWatermark,
  type DiskWatermark,
  type DiskWatermarkParts,
  noDiskWatermark,
} from "../engine/admit/disk-watermark.ts";
import { messageOf, StartError } from "../errors.ts";
import type { Store } from "../store/store.ts";

/** Creates the data folder if it is missing. Resolves with the argument of `openStore`: the file's path, or `memory`. */
export async function prepareStore({ store, dataDir }: Config): Promise<string> {
  if (store === "memory") return "memory";
  try {
    await makeFolder(dataDir);
  } catch (error) {
    const isOccupied = (error as NodeJS.ErrnoException).code === "EEXIST";
    const what = isOccupied ? "exists and is not a folder" : `cannot be created: ${messageOf(error)}`;
    throw new StartError(`the data folder ${dataDir} ${what}: choose another with --data-dir`);
  }
  return join(dataDir, "millpond.sqlite");
}

/**
 * Creates a folder and its parents. Not by `recursive`, which never returns on file systems where folders cannot be
 * created, such as /proc.
 */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" && (await stat(path)).isDirectory()) return;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
    await makeFolder(dirname(path));
    await mkdir(path, { mode: 0o700 });
  }
}

/** No watch for a store in memory. */
export function watchDisk(
  { store: kind, dataDir, limits }: Config,
  {
    store,
    ...parts
  }: { readonly store: Pick<Store, "size"> } & Pick<DiskWatermarkParts, "clock" | "onChanged" | "log">,
): DiskWatermark {
  if (kind === "memory") return noDiskWatermark;
  const freeInside = async () => (await store.size()).freeBytes;
  return createDiskWatermark({ path: dataDir, leastFreeMiB: limits.diskFreeMiB, statfs, freeInside, ...parts });
}
