/** Where profiles are stored: one folder each, named by its time. Only the newest are kept. */
import { mkdir, mkdtemp, open, readdir, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ProfileKind } from "../profile.ts";

export type ProfileFolder = {
  /** Creates the folder of a profile, readable by its owner only, and removes the oldest folders beyond `keptProfiles`. */
  make(kind: ProfileKind, at: number): Promise<string>;
};

export const keptProfiles = 10;
const folderName = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z-[a-z]+$/;

/** `path`: the folder of all profiles; null: a temporary one, created with the first profile. */
export function createProfileFolder(path: string | null): ProfileFolder {
  let root = path;
  return {
    async make(kind, at) {
      root ??= await mkdtemp(join(tmpdir(), "millpond-profiles-")); // another user cannot guess the name and create it first
      const folder = join(root, `${new Date(at).toISOString().replaceAll(":", "-")}-${kind}`);
      await mkdir(folder, { mode: 0o700, recursive: true });
      const all = (await readdir(root)).filter((name) => folderName.test(name)).toSorted();
      for (const name of all.slice(0, -keptProfiles)) await rm(join(root, name), { recursive: true, force: true });
      return folder;
    },
  };
}

/** Readable by its owner only: a heap holds payloads, and function names reveal what runs here. */
export async function writePrivate(path: string, text: string): Promise<number> {
  await writeFile(path, text, { mode: 0o600, flag: "wx" });
  return Buffer.byteLength(text);
}

/** Bytes that this user may still write on the disk of a path. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/** The size of a JSON file. Throws when the file does not end like an object, because its writer was interrupted. */
export async function wholeBytes(path: string): Promise<number> {
  const file = await open(path, "r");
  try {
    await file.chmod(0o600);
    const { size } = await file.stat();
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(16), position: Math.max(size - 16, 0) });
    if (buffer.subarray(0, bytesRead).toString().trimEnd().endsWith("}")) return size;
    throw new Error("it is incomplete");
  } finally {
    await file.close();
  }
}
