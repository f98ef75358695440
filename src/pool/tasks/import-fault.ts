/** Explains why a module could not be imported, with the position and the remedy: Node.js itself often gives neither. */
import { existsSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { cut, textOf } from "../sanitize.ts";
import { thrownOf } from "../thrown.ts";
import { lineOf, type SourcePosition, positionOf, positionOfSyntaxError } from "./source-position.ts";

export type ImportFault = { readonly position: SourcePosition | undefined; readonly message: string };

type Facts = {
  readonly code: string;
  readonly text: string;
  readonly url: string | undefined;
  /** The file whose `require` failed. */
  readonly requirer: string | undefined;
};

const maxText = 1000;
/** Extensions to try for an import without one, or with that of the compiled file. */
const extensions = ["ts", "mts", "cts", "js", "mjs", "cjs"];

/**
 * `file`: the path of the file whose import failed; the fault may be in another file that it imports.
 */
export function explainImport(error: unknown, file: string): ImportFault {
  const facts = factsOf(error);
  if (/^ERR_(?:MODULE_NOT_FOUND|UNSUPPORTED_DIR_IMPORT)$/.test(facts.code)) return notFound(facts, file);
  if (facts.code === "MODULE_NOT_FOUND") return notRequired(facts, file);
  if (facts.code === "ERR_IMPORT_ATTRIBUTE_MISSING") return attributeMissing(facts, file);
  if (facts.code === "ERR_DLOPEN_FAILED") return addonFault(facts);
  const isSyntax = error instanceof SyntaxError;
  const position = positionOf(error) ?? (isSyntax ? positionOfSyntaxError(file, facts.text) : undefined);
  return {
    position,
    message: isSyntax ? syntaxFault(facts, position) : `its import threw: ${cut(thrownOf(error).message, maxText)}`,
  };
}

function factsOf(error: unknown): Facts {
  const { code, url, requireStack } = (typeof error === "object" && error !== null ? error : {}) as Record<
    string,
    unknown
  >;
  const requirer: unknown = Array.isArray(requireStack) ? requireStack[0] : undefined;
  return {
    code: typeof code === "string" ? code : "",
    text: textOf(error, maxText).split("\n", 1).join(),
    url: typeof url === "string" ? url : undefined,
    requirer: typeof requirer === "string" ? requirer : undefined,
  };
}

function notFound({ text, url }: Facts, file: string): ImportFault {
  const importer = /imported from (.+)$/.exec(text)?.[1] ?? file;
  const bare = /^Cannot find package '([^']+)'/.exec(text)?.[1];
  if (bare?.startsWith("/")) {
    const message = `it imports a package without the file that its package.json names, ${bare}: install it again`;
    return { position: undefined, message };
  }
  const imported = bare === undefined ? url && specifierOf(url, importer) : partOf(bare, importer);
  const position = { file: importer, line: imported ? lineOf(importer, imported) : undefined };
  const message = `it imports ${JSON.stringify(imported ?? fileOf(url))}, `;
  if (bare !== undefined) return { position, message: message + packageRemedy(bare, importer) };
  const meant = url === undefined ? undefined : neighbourOf(fileURLToPath(url));
  if (meant === undefined || url === undefined || !imported)
    return { position, message: `${message}which does not exist` };
  const remedy =
    imported.replace(/\/?(?:\.\w+)?$/, "") +
    meant.slice(fileURLToPath(url).replace(/\/?(?:\.[cm]?[jt]s)?$/, "").length);
  return { position, message: `${message}which does not exist: Node.js needs the file's own name, write "${remedy}"` };
}

/** For CommonJS: `require` uses paths instead of URLs, and tries extensions itself. */
function notRequired({ text, requirer = "" }: Facts, file: string): ImportFault {
  const required = /^Cannot find module '([^']+)'/.exec(text)?.[1] ?? text;
  const by = requirer === "" ? file : requirer;
  const [name] = /^(?:@[^/]+\/)?[^/]+/.exec(required) ?? [required];
  const why = /^[./]/.test(required) ? "which does not exist" : packageRemedy(name, by);
  return {
    position: { file: by, line: lineOf(by, required) },
    message: `it requires ${JSON.stringify(required)}, ${why}`,
  };
}

/** Explains a native addon that cannot be loaded: addons without Node-API may only register once per process. */
function addonFault({ text }: Facts): ImportFault {
  const isSecond = /did not self-register/.test(text);
  const remedy = isSecond
    ? "it works in one thread of a process only: run what needs it in a child process"
    : "install it on this machine, with this Node.js, or run `npm rebuild`";
  return { position: undefined, message: `it imports a native addon that cannot be loaded: ${text}: ${remedy}` };
}

function packageRemedy(name: string, importer: string): string {
  if (name === "millpond")
    return "which this package does not have: task files may import millpond and millpond/client";
  return `a package that is not installed: run \`npm install ${name}\` in ${dirname(importer)} or above it`;
}

/** The file that was probably meant, if the extension is missing or is that of the compiled file. */
function neighbourOf(path: string): string | undefined {
  const stem = path.replace(/\.[cm]?[jt]s$/, "").replace(/\/$/, "");
  const candidates = [stem, `${stem}/index`].flatMap((name) => extensions.map((extension) => `${name}.${extension}`));
  return candidates.find((candidate) => existsSync(candidate));
}

function attributeMissing({ text }: Facts, file: string): ImportFault {
  const url = /^Module "([^"]+)"/.exec(text)?.[1];
  const imported = url && specifierOf(url, file);
  const position = imported ? { file, line: lineOf(file, imported) } : undefined;
  const shown = JSON.stringify(imported ?? fileOf(url));
  return { position, message: `it imports ${shown} without its type: write \`with { type: "json" }\` after the path` };
}

/** The specifier with which the file imports that module. */
function specifierOf(url: string, file: string): string | undefined {
  const isIt = (specifier: string) => fileURLToPath(new URL(specifier, `file://${file}`)) === fileOf(url);
  return textsOf(file).find((text) => text.startsWith(".") && isIt(text));
}

/** The specifier with which the file imports a missing package or a missing part of this one. */
function partOf(name: string, file: string): string {
  const isPart = (text: string) => text.startsWith(`${name}/`) && text !== "millpond/client";
  const texts = textsOf(file);
  return name !== "millpond" && texts.includes(name) ? name : (texts.find(isPart) ?? name);
}

/** All quoted strings in a file. */
function textsOf(file: string): readonly string[] {
  return [...textIn(file).matchAll(/["']([^"'\n]+)["']/g)].map(([, text]) => text as string);
}

function syntaxFault({ code, text }: Facts, position: SourcePosition | undefined): string {
  const missing = /requested module '(.+?)' does not provide an export named '(.+?)'/.exec(text);
  if (missing) {
    const [, module, name] = missing;
    if (name === "default")
      return `"${module}" has no default export: write \`import * as name\` or \`import { name }\``;
    return `"${module}" exports no value \`${name}\`: is it misspelt? A type is imported with \`import { type ${name} }\``;
  }
  if (code === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX") {
    const what = text.replace(/ is not supported in strip-only mode$/, "");
    return `${what} is more than types, and Node.js only strips types: ${plainRemedy(what)}, or compile the file to JavaScript`;
  }
  if (position?.text?.includes("@") && /Invalid or unexpected token/.test(text)) {
    return "a decorator, which Node.js does not run: write it without, or compile the file to JavaScript";
  }
  return `a syntax error: ${text}`;
}

function plainRemedy(what: string): string {
  if (/enum/.test(what)) return "write an object such as `const Color = { Red: 0, Green: 1 } as const`";
  if (/parameter property/.test(what)) return "declare the field and set it in the constructor";
  return "write it as plain JavaScript";
}

function fileOf(url: string | undefined): string {
  return url?.startsWith("file:") ? fileURLToPath(url) : (url ?? "");
}

function textIn(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
