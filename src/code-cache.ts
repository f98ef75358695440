import { mkdirSync } from "node:fs";
import { enableCompileCache, flushCompileCache } from "node:module";
import { fileURLToPath } from "node:url";

const isSource = import.meta.url.endsWith(".ts");
/** Beside the code, so that only those can write to it who could change the code itself. */
const folder = fileURLToPath(new URL(`${isSource ? ".." : "../.."}/node_modules/.cache/millpond`, import.meta.url));

/**
 * Keeps compiled code on the disk, for this process and for the threads that it starts: the next start, and each new
 * worker, takes about a third less time. Only for what is imported after the call. Where the folder cannot be written,
 * nothing is kept; `NODE_COMPILE_CACHE` names another, and `NODE_DISABLE_COMPILE_CACHE=1` keeps nothing.
 * https://nodejs.org/api/module.html#module-compile-cache
 */
export function keepCompiledCode(env: NodeJS.ProcessEnv): void {
  if (env["NODE_COMPILE_CACHE"] !== undefined || env["NODE_DISABLE_COMPILE_CACHE"] !== undefined) return; // Node.js obeys by itself
  try {
    mkdirSync(folder, { recursive: true });
    if (enableCompileCache(folder).directory !== undefined) env["NODE_COMPILE_CACHE"] = folder; // threads only look here
  } catch {
    // a folder that cannot be made: it is slower, and nothing else
  }
}

/** Writes what was compiled since the start; otherwise that waits for the end, which `kill -9` does not. */
export const saveCompiledCode = flushCompileCache;
