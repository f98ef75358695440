/** How this copy of Millpond was installed, and which packages a folder of tasks can import. */
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
 * The source of this copy: a registry, a packed file, or a clone. Only a copy from a registry is required by version:
 * a package of this name in the registry may be someone else's.
 */
export type Origin =
  | { readonly kind: "registry"; readonly version: string }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "clone"; readonly path: string };

export async function originOf(own = ownFolder): Promise<Origin> {
  const modules = dirname(own);
  if (basename(modules) !== "node_modules") return { kind: "clone", path: own };
  const lock = await readJson<Lock>(join(modules, ".package-lock.json")); // written by npm; other package managers have none
  const from = lock?.packages?.[`node_modules/${basename(own)}`]?.resolved;
  const path = from?.startsWith("file:") && resolve(dirname(modules), from.slice("file:".length));
  return path ? { kind: "file", path } : { kind: "registry", version: (await ownManifest()).version };
}

/** Packages with their versions or paths, as in package.json. */
export type Packages = { readonly [name: string]: string };

/** Avoids a warning of npm: the check in this install script is not needed here. */
export const allowScripts = { protobufjs: false } as const;

/** The text of a package.json. */
export const asJson = (manifest: object) => `${JSON.stringify(manifest, null, 2)}\n`;

/** The dependency on this copy in the package.json of a folder. */
export function dependencyOn(origin: Origin, folder: string): string {
  return origin.kind === "registry" ? `^${origin.version}` : `file:${relative(folder, origin.path)}`;
}

/**
 * The build command that a clone needs before it can be imported: a clone only has the sources, and the package exports
 * the build.
 */
export function building(origin: Origin): readonly string[] {
  if (origin.kind !== "clone" || existsSync(join(origin.path, "dist"))) return [];
  return [`npm run build --prefix ${quoted(relative("", origin.path) || ".")}`];
}

/** The version of a package that this copy was tested with, and those that are compatible with it. */
export async function compatible(name: string): Promise<string> {
  const { dependencies, devDependencies } = await ownManifest();
  return `^${dependencies[name] ?? devDependencies[name]}`;
}

/** Whether files in a folder can import a package. */
export function isInstalledFor(folder: string, name: string): boolean {
  return upwards(folder).some((each) => existsSync(join(each, "node_modules", name)));
}

/** The nearest package.json, in a folder or above it. */
export type PackageAround = {
  readonly folder: string;
  /** Whether Node.js treats its `.ts` and `.js` files as ES modules regardless of their syntax. */
  readonly isModule: boolean;
  /** Names of the packages that it depends on. */
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

/** Undefined if it is missing or not JSON. */
async function readJson<T>(path: string): Promise<Partial<T> | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Partial<T>;
  } catch {
    return undefined;
  }
}
