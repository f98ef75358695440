/** Reads sources and writes targets below the root of the task's settings. */
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { isAbsolute } from "node:path";
import { permanent } from "../../pool/task.ts";
import { assertOpenBelow, type FileId, isSame, withFile, withFolder } from "./below.ts";

const maxPathLength = 1024;
/** Longest name that common file systems can store. */
const maxNameBytes = 255;

export type SourceFile = { readonly bytes: Uint8Array; readonly id: FileId };

export type TargetFile = {
  readonly root: string;
  /** Path below the root; its folder must exist. */
  readonly path: string;
  /** Whether an existing file of that name is replaced. */
  readonly overwrite: boolean;
  /** The file that the picture was read from, which is never replaced. */
  readonly source: FileId | undefined;
};

/** Identifies the attempt that writes. */
export type Writer = { readonly jobId: string; readonly attempt: number };

/** Why the form of a path below the root is invalid; undefined: it is valid. Does not access the file system. */
export function faultOfPath(path: string): string | undefined {
  if (path.length > maxPathLength) return `has ${path.length} characters and the limit is ${maxPathLength}`;
  if (path.includes("\0")) return "contains a NUL character";
  if (isAbsolute(path)) return "must be relative to the root of the task's settings";
  const names = path.split(/[/\\]/);
  const isPlain = names.every((name) => name !== "" && name !== "." && name !== "..");
  if (!isPlain) return 'must be names joined by "/", none of them empty, "." or ".."';
  const longest = Math.max(...names.map((name) => Buffer.byteLength(name)));
  return longest > maxNameBytes ? `has a name of ${longest} bytes and the limit is ${maxNameBytes}` : undefined;
}

/**
 * Reads a file whose real path, after resolving links, is below `root`, which must be a real path. Fails permanently if
 * it is missing, elsewhere, not a regular file, or larger than `maxBytes`.
 */
export function readBelow(root: string, path: string, maxBytes: number): SourceFile {
  return withFile(root, path, (file) => {
    const stats = fstatSync(file, { bigint: true });
    if (!stats.isFile()) throw permanent("file_refused", `"${path}" is not a regular file`);
    if (stats.size > maxBytes) {
      throw permanent("image_too_large", `"${path}" has ${stats.size} bytes and the limit is ${maxBytes}`, {
        bytes: Number(stats.size),
        limit: maxBytes,
      });
    }
    return { bytes: readFileSync(file), id: stats };
  });
}

/** Fails early if `writeBelow` would fail, as far as that can be known before the work is done. */
export function assertWritable(target: TargetFile): void {
  withFolder(target.root, target.path, (folder, name) => assertReplaceable(`${folder}/${name}`, target));
}

/**
 * Writes a file below `root` atomically: it is written and synced under a name of the attempt, then renamed, and its
 * folder is synced. An existing file with the same bytes counts as written, so an attempt may be repeated; one with
 * other bytes is replaced if `overwrite` is set, and otherwise fails the job with `file_exists`.
 */
export function writeBelow(target: TargetFile, bytes: Uint8Array, writer: Writer): void {
  withFolder(target.root, target.path, (folder, name, descriptor) => {
    const partialOf = (attempt: number) => `${folder}/.${writer.jobId}-${attempt}.partial`;
    // remove files left by attempts that were killed while writing
    for (let attempt = 1; attempt <= writer.attempt; attempt += 1) rmSync(partialOf(attempt), { force: true });
    const partial = partialOf(writer.attempt);
    try {
      writeNew(partial, bytes, target);
      assertReplaceable(`${folder}/${name}`, target);
      if (target.overwrite) renameSync(partial, `${folder}/${name}`);
      else linkNew(partial, `${folder}/${name}`, bytes, target);
    } finally {
      rmSync(partial, { force: true });
    }
    syncFolder(descriptor);
  });
}

/**
 * Makes a name durable: names are entries of the folder, and a power failure could otherwise lose them, even those of
 * earlier attempts.
 */
function syncFolder(folder: number): void {
  try {
    fsyncSync(folder);
  } catch (error) {
    if (!withoutSync.has((error as NodeJS.ErrnoException).code)) throw error;
  }
}

/** Errors of file systems that cannot sync folders, such as some network file systems; they are ignored. */
const withoutSync: ReadonlySet<unknown> = new Set(["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

function writeNew(partial: string, bytes: Uint8Array, { root, path }: TargetFile): void {
  const file = openSync(partial, "wx");
  try {
    assertOpenBelow(root, file, partial, path);
    writeFileSync(file, bytes);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Linking to an existing name fails, so that of two concurrent writers only the first succeeds. */
function linkNew(partial: string, name: string, bytes: Uint8Array, { path }: TargetFile): void {
  try {
    linkSync(partial, name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") {
      if (holds(name, bytes)) return;
      throw permanent("file_exists", `"${path}" exists with other content: choose another name, or set overwrite`);
    }
    if (!withoutLinks.has(code)) throw error;
    throw permanent("file_refused", `the file system of "${path}" has no hard links (${code}): set overwrite`);
  }
}

const withoutLinks: ReadonlySet<unknown> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

function holds(name: string, bytes: Uint8Array): boolean {
  const file = openSync(name, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(file);
    return stats.isFile() && stats.size === bytes.byteLength && readFileSync(file).equals(bytes);
  } finally {
    closeSync(file);
  }
}

function assertReplaceable(name: string, { path, source }: TargetFile): void {
  const existing: BigIntStats | undefined = lstatSync(name, { bigint: true, throwIfNoEntry: false });
  if (existing === undefined) return;
  if (!existing.isFile()) throw permanent("file_refused", `"${path}" exists and is not a regular file`);
  if (source && isSame(existing, source)) {
    throw permanent("file_refused", `"${path}" is the source itself: choose another name`);
  }
}
