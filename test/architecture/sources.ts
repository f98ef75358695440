/** Reads source files and finds out what they import. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path/posix";
import { fileURLToPath } from "node:url";

/** A file of the repository; `path` is relative to its root, with `/`. */
export type Source = { readonly path: string; readonly text: string };

export type Import = {
  /** A path such as `src/errors.ts`, a package such as `@grpc/grpc-js`, or a module such as `node:fs`. */
  readonly target: string;
  readonly isLocal: boolean;
  /** True where nothing is loaded at run time. */
  readonly isType: boolean;
};

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Every file that people write, so nothing generated. */
export function readSources(): Source[] {
  return globSync(["src/**/*.{ts,mjs}", "clients/**/*.ts", "test/**/*.ts", ".ci/**/*"], {
    cwd: root,
    withFileTypes: true,
  })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.replaceAll("\\", "/").slice(root.length))
    .filter((path) => !path.startsWith("src/gen/"))
    .toSorted()
    .map((path) => ({ path, text: readFileSync(root + path, "utf8") }));
}

const comments = /\/\*.*?\*\/|(?<=^|\s)\/\/[^\n]*/gs;
const statements = /^\s*(?:import|export)\s+(?<type>type\s)?(?:[^;"'`()]*?\sfrom\s*)?"(?<static>[^"]+)"/gm;
const calls = /\bimport\(\s*"(?<dynamic>[^"]+)"\s*\)/g;

/** The text without its comments. */
export function codeOf({ text }: Source): string {
  return text.replaceAll(comments, "");
}

/** All imports of a file, re-exports and `import("...")` included. */
export function importsOf(source: Source): Import[] {
  const code = codeOf(source);
  return [...code.matchAll(statements), ...code.matchAll(calls)].map(({ groups }) => {
    const specifier = groups?.static ?? groups?.dynamic ?? "";
    const isLocal = specifier.startsWith(".");
    return {
      target: isLocal ? join(source.path, "..", specifier) : packageOf(specifier),
      isLocal,
      isType: groups?.type !== undefined,
    };
  });
}

/** `@grpc/grpc-js` of `@grpc/grpc-js/build/x`. */
function packageOf(specifier: string): string {
  return specifier.startsWith("node:") ? specifier : specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}
