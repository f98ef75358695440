/** The settings of `image.resize`: `tasks."image.resize"` of the configuration. */
import { realpathSync, statSync } from "node:fs";
import { messageOf } from "../../errors.ts";

export type ImageSettings = {
  /**
   * Folder that `path` and `outputPath` are relative to, as a real path. Configured as absolute or relative to the
   * server's working folder. Undefined (the default): jobs that name files are refused.
   */
  readonly root: string | undefined;
  /** Widest target in pixels, 1 to 16383; 4000 by default. A wider one fails with `image_too_large`. */
  readonly maxWidth: number;
  /** Largest source and target in pixels (width × height), 1 to 268402689; 50000000 by default. */
  readonly maxPixels: number;
};

/** Longest side that every target format supports: that of WebP. */
export const maxSide = 16_383;

/** Reads the settings. Throws one Error that lists every mistake, including a root that is not a folder. */
export function readSettings(given: { readonly [key: string]: unknown }): ImageSettings {
  const mistakes: string[] = [];
  const { root, maxWidth = 4000, maxPixels = 50_000_000, ...unknown } = given;
  for (const key of Object.keys(unknown)) {
    mistakes.push(`"${key}" is not a setting; the settings are: root, maxWidth, maxPixels`);
  }
  if (!isCount(maxWidth, maxSide)) {
    mistakes.push(`maxWidth is ${JSON.stringify(maxWidth)} and must be a whole number from 1 to ${maxSide}`);
  }
  if (!isCount(maxPixels, maxSide ** 2)) {
    mistakes.push(`maxPixels is ${JSON.stringify(maxPixels)} and must be a whole number from 1 to ${maxSide ** 2}`);
  }
  let folder: string | undefined;
  try {
    folder = root === undefined ? undefined : realFolder(root);
  } catch (error) {
    mistakes.push(`root is ${JSON.stringify(root)} and must be a folder that exists: ${messageOf(error)}`);
  }
  if (mistakes.length > 0) throw new Error(mistakes.join("; "));
  return { root: folder, maxWidth: maxWidth as number, maxPixels: maxPixels as number };
}

function isCount(value: unknown, most: number): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most;
}

function realFolder(root: unknown): string {
  if (typeof root !== "string" || root === "") throw new Error("it is not a path");
  const folder = realpathSync(root);
  if (!statSync(folder).isDirectory()) throw new Error("it is not a folder");
  return folder;
}
