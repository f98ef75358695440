import { readlinkSync, realpathSync } from "node:fs";
import { dirname, resolve } from "node:path";

/**
 * Where links lead to, also when nothing is there yet. SQLite follows links, so its log lies beside their end; so must all
 * else that belongs to a store.
 */
export function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    const target = isMissing(error) ? targetOf(path) : undefined;
    return target === undefined ? path : realPathOf(resolve(dirname(path), target));
  }
}

/** Undefined: it is no link. */
function targetOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

const isMissing = (error: unknown) => (error as NodeJS.ErrnoException).code === "ENOENT";
