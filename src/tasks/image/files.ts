/**
 * Reads and writes files below one folder, the root, and nowhere else. Failures never name the folder itself. The calls
 * block their thread, which has nothing else to do, and so spare a dozen trips through libuv's threads for each picture.
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, isAbsolute, join, relative, sep } from "node:path";
import { permanent, TaskError } from "../../pool/task.ts";

const maxPathLength = 1024;

/** What is wrong with the form of a path below the root; undefined when it is fine. Looks at no file. */
export function faultOfPath(path: string): string | undefined {
  if (path.length > maxPathLength) return `has ${path.length} characters and the limit is ${maxPathLength}`;
  if (path.includes("\0")) return "contains a NUL character";
  if (isAbsolute(path)) return "must be relative to the root of the task's settings";
  const isPlain = path.split(/[/\\]/).every((name) => name !== "" && name !== "." && name !== "..");
  return isPlain ? undefined : 'must be names joined by "/", none of them empty, "." or ".."';
}

/**
 * Reads a file whose real place, after all symbolic links, is below `root`, a real path itself. Fails permanently
 * when it is missing, elsewhere, not a regular file, or larger than `maxBytes`.
 */
export function readBelow(root: string, path: string, maxBytes: number): Uint8Array {
  return onFile(path, () => {
    const real = realpathSync.native(join(root, path));
    assertBelow(root, real, path);
    // Neither a link put there since, nor a pipe without a writer, can hold this thread.
    const file = openSync(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      return readWhole(file, path, maxBytes);
    } finally {
      closeSync(file);
    }
  });
}

/**
 * Writes a file below `root`, a real path; its folder must exist. The file appears whole and synced to disk or not at
 * all: it is written under a name of its own, made from `writer`, and renamed. So writing it again is harmless.
 */
export function writeBelow(root: string, path: string, bytes: Uint8Array, writer: string): void {
  onFile(path, () => {
    const folder = realpathSync.native(join(root, dirname(path)));
    assertBelow(root, folder, path);
    const partial = join(folder, `.${writer}.partial`);
    rmSync(partial, { force: true }); // left by a process that was killed while it wrote
    try {
      writeFileSync(partial, bytes, { flag: "wx", flush: true });
      renameSync(partial, join(folder, basename(path)));
    } catch (error) {
      rmSync(partial, { force: true });
      throw error;
    }
  });
}

function readWhole(file: number, path: string, maxBytes: number): Uint8Array {
  const stats = fstatSync(file);
  if (!stats.isFile()) throw permanent("file_refused", `"${path}" is not a regular file`);
  if (stats.size > maxBytes) {
    throw permanent("image_too_large", `"${path}" has ${stats.size} bytes and the limit is ${maxBytes}`, {
      bytes: stats.size,
      limit: maxBytes,
    });
  }
  return readFileSync(file);
}

function assertBelow(root: string, real: string, path: string): void {
  const way = relative(root, real);
  if (way === ".." || way.startsWith(`..${sep}`) || isAbsolute(way)) {
    throw permanent("path_outside_root", `"${path}" leads out of the root of the task's settings`);
  }
}

const missing: ReadonlySet<unknown> = new Set(["ENOENT", "ENOTDIR", "ENAMETOOLONG"]);
const refused: ReadonlySet<unknown> = new Set(["EACCES", "EPERM", "EROFS", "EISDIR", "ELOOP", "ENOTEMPTY", "ENXIO"]);

function onFile<T>(path: string, action: () => T): T {
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
