/** Writes the files of a new task or project; never changes an existing file. */
import { constants, existsSync } from "node:fs";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

export type NewFile = {
  /** Relative to the folder that all are written into. */
  readonly path: string;
  /** Its description in the list of written files. */
  readonly what: string;
} & ({ readonly text: string } | { readonly copyOf: string });

export type WrittenFile = { readonly path: string; readonly what: string; readonly isKept: boolean };

/** The files that already exist. */
export function present(folder: string, files: readonly Pick<NewFile, "path">[]): readonly string[] {
  return files.map(({ path }) => join(folder, path)).filter((path) => existsSync(path));
}

/** Writes the missing files. Existing ones are not changed, even if another process creates one at the same time. */
export async function writeMissing(folder: string, files: readonly NewFile[]): Promise<readonly WrittenFile[]> {
  const written: WrittenFile[] = [];
  for (const { path, what, ...content } of files) {
    const place = join(folder, path);
    await mkdir(dirname(place), { recursive: true });
    const writing =
      "text" in content
        ? writeFile(place, content.text, { flag: "wx" })
        : copyFile(content.copyOf, place, constants.COPYFILE_EXCL);
    const isKept = await writing.then(
      () => false,
      (error: NodeJS.ErrnoException) => {
        if (error.code === "EEXIST") return true;
        throw error;
      },
    );
    written.push({ path: place, what, isKept });
  }
  return written;
}
