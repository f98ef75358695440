/**
 * Opens files and folders only below one folder, the root, even while other processes move folders and links. The
 * location of a file is checked once it is open, because a path may lead elsewhere by the next call. Failures never
 * name the root itself. The calls are synchronous: the thread has nothing else to do, and that saves a dozen trips
 * through libuv's thread pool for each picture.
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

/** Where Linux lists the open files of this process; `<descriptors>/<fd>/<name>` is a name in an open folder. */
const descriptors = process.platform === "linux" ? "/proc/self/fd" : undefined;

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;

/** Opens a file below `root`, which must be a real path, for reading. Links are followed if they stay below the root. */
export function withFile<T>(root: string, path: string, use: (file: number) => T): T {
  return onPath(path, () => {
    const real = realpathSync.native(join(root, path));
    assertBelow(root, real, path);
    // so that neither a link created meanwhile nor a pipe without a writer can block this thread
    return using(openSync(real, O_RDONLY | O_NOFOLLOW | O_NONBLOCK), (file) => {
      assertOpenBelow(root, file, real, path);
      return use(file);
    });
  });
}

/**
 * Opens the folder of `path` below `root`, which must be a real path. `use` gets a path of the open folder, which on
 * Linux refers to that folder even if another replaces it, the last name of `path`, and the folder's descriptor.
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

/** Throws unless the open file, which was opened by the path `opened`, is below `root`. */
export function assertOpenBelow(root: string, file: number, opened: string, path: string): void {
  assertBelow(root, placeOf(file, opened, path), path);
}

export function isSame(a: FileId, b: FileId): boolean {
  return a.ino === b.ino && a.dev === b.dev;
}

/** The real path of an open file. If the system cannot provide it, `opened` must still lead to the same file. */
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
