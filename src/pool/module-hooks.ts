/** How modules are found and read in a thread that loads task files. */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

const extension = extname(import.meta.url);
const urlOf = (path: string) => new URL(`../../${path}${extension}`, import.meta.url).href;

/** What task files may import of this package. */
const exported: ReadonlyMap<string, string> = new Map([
  ["millpond", urlOf("src/index")],
  ["millpond/client", urlOf("clients/typescript/index")],
]);

/** A statement that only an ES module can have. `import(...)` and `exports.x` are none. */
const moduleSyntax = /^(?:import(?:\s+[\w$]|\s*["'{*])|export(?:\s+\w|\s*[{*]))/m;
const moduleFormats: ReadonlyMap<string, string> = new Map([
  ["commonjs", "module"],
  ["commonjs-typescript", "module-typescript"],
]);

let isHooked = false;

/**
 * From now on, in this thread:
 *
 * - `import ... from "millpond"` means this copy of the package, wherever the importing file lies: a folder of tasks needs
 *   neither a package.json nor an installation of its own.
 * - `.ts` and `.js` files with `import` or `export` are ES modules also where package.json says `"type": "commonjs"`, as
 *   `npm init -y` writes it. Without `type` Node.js itself looks at the syntax.
 */
export function hookModules(): void {
  if (isHooked) return;
  isHooked = true;
  registerHooks({
    resolve(specifier, context, next) {
      const url = exported.get(specifier);
      return url === undefined ? next(specifier, context) : { url, shortCircuit: true };
    },
    load(url, context, next) {
      const format = moduleFormats.get(context.format ?? "");
      const isModule = format !== undefined && /\.[jt]s$/.test(url) && moduleSyntax.test(textOf(url));
      return next(url, isModule ? { ...context, format } : context);
    },
  });
}

function textOf(url: string): string {
  return url.startsWith("file:") && !url.includes("/node_modules/") ? readFileSync(fileURLToPath(url), "utf8") : "";
}
