/** How this copy of Millpond came here, and what a folder of tasks finds of what it needs. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { findPackageJSON } from "node:module";
import { basename, dirname, join, relative, resolve } from "node:path";
import { quoted } from "./report.ts";

type Manifest = {
  readonly version: string;
  readonly type: string;
  readonly dependencies: Packages;
  readonly devDependencies: Packages;
};

type Lock = { readonly packages: { readonly [path: string]: { readonly resolved?: string } } };

const ownFolder = dirname(findPackageJSON(import.meta.url) as string);

/**
 * Where this copy came from: a registry, a packed file, or a clone. Only what came from a registry is asked for by its
 * version: elsewhere a package of this name may belong to others.
 */
export type Origin =
  | { readonly kind: "registry"; readonly version: string }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "clone"; readonly path: string };

export async function originOf(own = ownFolder): Promise<Origin> {
  const modules = dirname(own);
  if (basename(modules) !== "node_modules") return { kind: "clone", path: own };
  const lock = await readJson<Lock>(join(modules, ".package-lock.json")); // npm's own; other installers have none
  const from = lock?.packages?.[`node_modules/${basename(own)}`]?.resolved;
  const path = from?.startsWith("file:") && resolve(dirname(modules), from.slice("file:".length));
  return path ? { kind: "file", path } : { kind: "registry", version: (await ownManifest()).version };
}

/** Packages with their versions or places, as package.json names them. */
export type Packages = { readonly [name: string]: string };

/** Keeps npm quiet: what this install script checks has no meaning here. */
export const allowScripts = { protobufjs: false } as const;

/** The text of a package.json. */
export const asJson = (manifest: object) => `${JSON.stringify(manifest, null, 2)}\n`;

/** How a package.json in a folder asks for this copy. */
export function dependencyOn(origin: Origin, folder: string): string {
  return origin.kind === "registry" ? `^${origin.version}` : `file:${relative(folder, origin.path)}`;
}

/** The command without which a clone cannot be imported: it brings its sources, and packages what is built from them. */
export function building(origin: Origin): readonly string[] {
  if (origin.kind !== "clone" || existsSync(join(origin.path, "dist"))) return [];
  return [`npm run build --prefix ${quoted(relative("", origin.path) || ".")}`];
}

/** The version of a package that this copy was tested with, and those that are compatible with it. */
export async function compatible(name: string): Promise<string> {
  const { dependencies, devDependencies } = await ownManifest();
  return `^${dependencies[name] ?? devDependencies[name]}`;
}

/** Whether files of a folder can import a package. */
export function isInstalledFor(folder: string, name: string): boolean {
  return upwards(folder).some((each) => existsSync(join(each, "node_modules", name)));
}

/** The nearest package.json of a folder, there or above it. */
export type PackageAround = {
  readonly folder: string;
  /** Whether Node.js takes its `.ts` and `.js` files for ES modules whatever is in them. */
  readonly isModule: boolean;
  /** Names of the packages that it asks for. */
  readonly packages: readonly string[];
};

export async function packageAround(folder: string): Promise<PackageAround | undefined> {
  const nearest = upwards(folder).find((each) => existsSync(join(each, "package.json")));
  if (nearest === undefined) return undefined;
  const { type, dependencies, devDependencies } = (await readJson<Manifest>(join(nearest, "package.json"))) ?? {};
  return {
    folder: nearest,
    isModule: type === "module",
    packages: Object.keys({ ...dependencies, ...devDependencies }),
  };
}

function upwards(folder: string): readonly string[] {
  const parent = dirname(resolve(folder));
  return parent === resolve(folder) ? [parent] : [resolve(folder), ...upwards(parent)];
}

async function ownManifest(): Promise<Manifest> {
  return (await readJson<Manifest>(join(ownFolder, "package.json"))) as Manifest;
}

/** Undefined when it is missing or no JSON. */
async function readJson<T>(path: string): Promise<Partial<T> | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Partial<T>;
  } catch {
    return undefined;
  }
}
