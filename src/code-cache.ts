import { mkdirSync } from "node:fs";
import { enableCompileCache, flushCompileCache } from "node:module";
import { fileURLToPath } from "node:url";

const isSource = import.meta.url.endsWith(".ts");
/** Next to the code, so that only users who could change the code can write to it. */
const folder = fileURLToPath(new URL(`${isSource ? ".." : "../.."}/node_modules/.cache/millpond`, import.meta.url));

/**
 * Enables Node's compile cache for this process and its threads: the next start, and each new worker, takes about a
 * third less time. Covers modules imported after the call. A folder that cannot be written disables it;
 * `NODE_COMPILE_CACHE` names another folder, and `NODE_DISABLE_COMPILE_CACHE=1` turns it off.
 * https://nodejs.org/api/module.html#module-compile-cache
 */
export function keepCompiledCode(env: NodeJS.ProcessEnv): void {
  if (env["NODE_COMPILE_CACHE"] !== undefined || env["NODE_DISABLE_COMPILE_CACHE"] !== undefined) return; // Node.js handles these itself
  try {
    mkdirSync(folder, { recursive: true });
    if (enableCompileCache(folder).directory !== undefined) env["NODE_COMPILE_CACHE"] = folder; // threads only read this variable
  } catch {
    // the folder cannot be created: starts are slower, nothing else changes
  }
}

/** Writes the code compiled since the start now. Otherwise Node.js writes it at exit, which `kill -9` prevents. */
export const saveCompiledCode = flushCompileCache;
