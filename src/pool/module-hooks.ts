/** Resolves and loads modules in a thread that loads task files. */
import { readFileSync, type Stats, statSync } from "node:fs";
import { type LoadFnOutput, registerHooks } from "node:module";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

/** The content of a user's file when it was imported. */
export type Source = {
  /** A fingerprint that changes with each write. Empty: there was no such file. */
  readonly mark: string;
  /** Null: it could not be read as code. */
  readonly code: { readonly format: string | undefined; readonly text: string } | null;
};

/** Sources by URL, without `node_modules` and this package. */
export type Sources = ReadonlyMap<string, Source>;

export type HookOptions = {
  /** Files to load from memory instead of the disk. */
  readonly sources?: Sources | null;
  /** Called with each other user's file before it runs. */
  readonly onRead?: (url: string, source: Source) => void;
};

const extension = extname(import.meta.url);
const urlOf = (path: string) => new URL(`../../${path}${extension}`, import.meta.url).href;
/** The folders of this package's code. */
const ownFolders = [new URL("../", import.meta.url).href, new URL("../../clients/", import.meta.url).href];

/** What task files may import from this package. */
const exported: ReadonlyMap<string, string> = new Map([
  ["millpond", urlOf("src/index")],
  ["millpond/client", urlOf("clients/typescript/index")],
]);

/** Matches a statement that only an ES module can have; not `import(...)` and `exports.x`. */
const moduleSyntax = /^(?:import(?:\s+[\w$]|\s*["'{*])|export(?:\s+\w|\s*[{*]))/m;
const moduleFormats: ReadonlyMap<string, string> = new Map([
  ["commonjs", "module"],
  ["commonjs-typescript", "module-typescript"],
]);
/** Formats of text files. `require` passes none. */
const textFormats = /^(?:module|commonjs|module-typescript|commonjs-typescript|json|undefined)$/;

let isHooked = false;

/**
 * From now on, in this thread:
 *
 * - `import ... from "millpond"` means this copy of the package, wherever the importing file lies: a folder of tasks needs
 *   neither a package.json nor an installation of its own.
 * - `.ts` and `.js` files with `import` or `export` are ES modules also where package.json says `"type": "commonjs"`, as
 *   `npm init -y` writes it. Without `type` Node.js itself looks at the syntax.
 */
export function hookModules({ sources, onRead }: HookOptions = {}): void {
  if (isHooked) return;
  isHooked = true;
  registerHooks({
    resolve(specifier, context, next) {
      const own = exported.get(specifier);
      if (own !== undefined) return { url: own, shortCircuit: true };
      const url = urlOfPath(specifier, context.parentURL);
      const code = url === undefined ? undefined : sources?.get(url)?.code;
      if (url !== undefined && code) return { url, format: code.format, shortCircuit: true };
      try {
        return next(specifier, context);
      } catch (error) {
        if (onRead && url !== undefined && isUsers(url)) onRead(url, { mark: markOfUrl(url), code: null });
        throw error;
      }
    },
    load(url, context, next) {
      const code = sources?.get(url)?.code;
      if (code) return { format: code.format, source: code.text, shortCircuit: true };
      const format = moduleFormats.get(context.format ?? "");
      const isModule = format !== undefined && /\.[jt]s$/.test(url) && moduleSyntax.test(sourceTextOf(url));
      const given = isModule ? { ...context, format } : context;
      return onRead && isUsers(url) ? reading(url, () => next(url, given), onRead) : next(url, given);
    },
  });
}

/** Loads a file and reports its source, even if it cannot be loaded. */
function reading(url: string, load: () => LoadFnOutput, onRead: NonNullable<HookOptions["onRead"]>): LoadFnOutput {
  const mark = markOfUrl(url); // read before the text, so that a write in between is noticed
  let code: Source["code"] = null;
  try {
    const loaded = load();
    const text = asText(loaded.source);
    if (text !== null && textFormats.test(String(loaded.format))) code = { format: loaded.format ?? undefined, text };
    return loaded;
  } finally {
    onRead(url, { mark, code });
  }
}

function asText(source: LoadFnOutput["source"]): string | null {
  if (typeof source === "string") return source;
  return source ? Buffer.from(source as Uint8Array).toString("utf8") : null;
}

/** The URL of an import by path; undefined for an import by package name. */
function urlOfPath(specifier: string, parent: string | undefined): string | undefined {
  return /^(?:\.{0,2}\/|file:)/.test(specifier) ? (URL.parse(specifier, parent)?.href ?? undefined) : undefined;
}

function isUsers(url: string): boolean {
  return (
    url.startsWith("file:") && !url.includes("/node_modules/") && !ownFolders.some((folder) => url.startsWith(folder))
  );
}

/** The fingerprint of a file; empty: there is no such file. */
export function markOf(facts: Stats | undefined): string {
  return facts ? `${facts.mtimeMs} ${facts.size} ${facts.ino}` : "";
}

function markOfUrl(url: string): string {
  return markOf(statSync(fileURLToPath(url), { throwIfNoEntry: false }));
}

function sourceTextOf(url: string): string {
  return url.startsWith("file:") && !url.includes("/node_modules/") ? readFileSync(fileURLToPath(url), "utf8") : "";
}
