import { registerHooks } from "node:module";
import { extname } from "node:path";

const surface = new URL(`../index${extname(import.meta.url)}`, import.meta.url).href;
let isResolved = false;

/**
 * From now on, in this thread, `import ... from "millpond"` means this copy of the package, wherever the importing file
 * lies: a folder of tasks needs neither a package.json nor an installation of its own.
 */
export function resolveOwnPackage(): void {
  if (isResolved) return;
  isResolved = true;
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === "millpond" ? { url: surface, shortCircuit: true } : next(specifier, context),
  });
}
