/**
 * Opens files and folders below one folder, the root, and nowhere else, even while others move folders and links around.
 * What counts is where a file is once it is open: a path may lead elsewhere by the next call. Failures never name the
 * root itself. The calls block their thread, which has nothing else to do: that saves a dozen trips through libuv's
 * threads for each picture.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readlinkSync,
  realpathSync,
  statSync,
} from "node:fs";
import { basename, dirname, isAbsolute, join, relative, sep } from "node:path";
import { permanent, TaskError } from "../../pool/task.ts";

/** The identity of a file, whatever its name. */
export type FileId = Pick<BigIntStats, "dev" | "ino">;

/** Where Linux lists what this process holds open; `<descriptors>/<fd>/<name>` is a name in an open folder. */
const descriptors = process.platform === "linux" ? "/proc/self/fd" : undefined;

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;

/** Opens a file below `root`, a real path itself, for reading. Links are followed while they stay below the root. */
export function withFile<T>(root: string, path: string, use: (file: number) => T): T {
  return onPath(path, () => {
    const real = realpathSync.native(join(root, path));
    assertBelow(root, real, path);
    // neither a link that was put there meanwhile nor a pipe without a writer can block this thread
    return using(openSync(real, O_RDONLY | O_NOFOLLOW | O_NONBLOCK), (file) => {
      assertOpenBelow(root, file, real, path);
      return use(file);
    });
  });
}

/**
 * Opens the folder of `path` below `root`, a real path itself. `use` gets a path of the open folder, which on Linux leads
 * to that very folder whatever replaces it meanwhile, the last name of `path`, and the folder's descriptor.
 */
export function withFolder<T>(
  root: string,
  path: string,
  use: (folder: string, name: string, descriptor: number) => T,
): T {
  return onPath(path, () => {
    const real = realpathSync.native(join(root, dirname(path)));
    assertBelow(root, real, path);
    return using(openSync(real, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), (folder) => {
      assertOpenBelow(root, folder, real, path);
      return use(descriptors ? `${descriptors}/${folder}` : real, basename(path), folder);
    });
  });
}

/** Fails unless the open file, which `opened` led to, is below `root`. */
export function assertOpenBelow(root: string, file: number, opened: string, path: string): void {
  assertBelow(root, placeOf(file, opened, path), path);
}

export function isSame(a: FileId, b: FileId): boolean {
  return a.ino === b.ino && a.dev === b.dev;
}

/** The real place of an open file. Where the system does not know it, the path that led there must still do so. */
function placeOf(file: number, opened: string, path: string): string {
  if (descriptors) return readlinkSync(`${descriptors}/${file}`);
  const real = realpathSync.native(opened);
  if (isSame(statSync(real, { bigint: true }), fstatSync(file, { bigint: true }))) return real;
  throw outside(path);
}

function assertBelow(root: string, real: string, path: string): void {
  const way = relative(root, real);
  if (way === ".." || way.startsWith(`..${sep}`) || isAbsolute(way)) throw outside(path);
}

function outside(path: string): TaskError {
  return permanent("path_outside_root", `"${path}" leads out of the root of the task's settings`);
}

function using<T>(file: number, use: (file: number) => T): T {
  try {
    return use(file);
  } finally {
    closeSync(file);
  }
}

const missing: ReadonlySet<unknown> = new Set(["ENOENT", "ENOTDIR", "ENAMETOOLONG"]);
const refused: ReadonlySet<unknown> = new Set(["EACCES", "EPERM", "EROFS", "EISDIR", "ELOOP", "ENOTEMPTY", "ENXIO"]);

function onPath<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof TaskError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (missing.has(code)) throw permanent("file_not_found", `"${path}" or its folder does not exist below the root`);
    if (refused.has(code)) throw permanent("file_refused", `"${path}" cannot be read or written there: ${code}`);
    throw new TaskError("file_failed", `"${path}" failed: ${code ?? "unknown error"}`, { cause: error });
  }
}
