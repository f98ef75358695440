/** The rules of the source tree. Each check is pure: it takes sources and gives a sentence for every breach. */
import { codeOf, type Import, importsOf, type Source } from "./sources.ts";

/** A part of the tree, and the parts that it may import; `types of X` allows `import type` only. */
export type Room = { readonly name: string; readonly files: readonly string[]; readonly mayImport: readonly string[] };

/** Imports that no row of the table allows, and files that lie in no room. A room may always import itself. */
export function floorBreaches(sources: readonly Source[], rooms: readonly Room[]): string[] {
  return sources.flatMap((source) => {
    const room = roomOf(source.path, rooms);
    if (room === undefined) return [`${source.path} lies in no room: add it to the table`];
    return importsOf(source)
      .filter(({ isLocal }) => isLocal)
      .filter((each) => !isAllowed(room, roomOf(each.target, rooms), each.isType))
      .map(({ target }) => `${source.path} (${room.name}) may not import ${target}`);
  });
}

/** The room of a file is the one that names it most exactly. */
function roomOf(path: string, rooms: readonly Room[]): Room | undefined {
  const named = rooms.flatMap((room) =>
    room.files.filter((file) => isWithin(path, file)).map((file) => ({ room, file })),
  );
  return named.toSorted((a, b) => b.file.length - a.file.length)[0]?.room;
}

/** `src/rpc/` stands for every file below it, `src/errors.ts` for itself. */
function isWithin(path: string, file: string): boolean {
  return file.endsWith("/") ? path.startsWith(file) : path === file;
}

function isAllowed(from: Room, to: Room | undefined, isType: boolean): boolean {
  if (to === undefined) return false;
  return from === to || from.mayImport.includes(to.name) || (isType && from.mayImport.includes(`types of ${to.name}`));
}

/** Rows of the table that lead from a room back to it, each once, as `a -> b -> a`. */
export function roomCycles(rooms: readonly Room[]): string[] {
  return cyclesIn(new Map(rooms.map(({ name, mayImport }) => [name, mayImport.map(withoutTypes)])));
}

/** Rooms that a row allows and no file of it imports. */
export function idleArrows(sources: readonly Source[], rooms: readonly Room[]): string[] {
  return rooms.flatMap((from) => {
    const targets = sources
      .filter(({ path }) => roomOf(path, rooms) === from)
      .flatMap((source) => [...localTargets(source)].map((target) => roomOf(target, rooms)?.name));
    return from.mayImport
      .map(withoutTypes)
      .filter((name) => !targets.includes(name))
      .map((name) => `no file of ${from.name} imports ${name}: take it out of the table`);
  });
}

const withoutTypes = (name: string) => name.replace(/^types of /, "");

/** Import cycles, each once, as `a.ts -> b.ts -> a.ts`. Types count too: a cycle of types is one of ideas. */
export function cycles(sources: readonly Source[]): string[] {
  return cyclesIn(new Map(sources.map((source) => [source.path, localTargets(source)])));
}

function cyclesIn(edges: ReadonlyMap<string, Iterable<string>>): string[] {
  const finished = new Set<string>();
  const found: string[] = [];
  for (const name of edges.keys()) visit(name, []);
  return found;

  function visit(name: string, trail: readonly string[]): void {
    const start = trail.indexOf(name);
    if (start >= 0) found.push([...trail.slice(start), name].join(" -> "));
    if (start >= 0 || finished.has(name)) return;
    for (const target of edges.get(name) ?? []) visit(target, [...trail, name]);
    finished.add(name);
  }
}

function localTargets(source: Source): Set<string> {
  return new Set(
    importsOf(source)
      .filter(({ isLocal }) => isLocal)
      .map(({ target }) => target),
  );
}

/** Packages that are imported by a file other than the one that the table names, and packages that it lacks. */
export function strayPackages(
  sources: readonly Source[],
  homes: { readonly [packageName: string]: readonly string[] },
): string[] {
  const isPackage = ({ isLocal, target }: Import) => !isLocal && (target in homes || !target.startsWith("node:"));
  return sources.flatMap((source) =>
    importsOf(source)
      .filter(isPackage)
      .filter(({ target }) => !homes[target]?.some((file) => isWithin(source.path, file)))
      .map(({ target }) => `${source.path} may not import ${target}: ${homes[target]?.join(", ") ?? "no file"} may`),
  );
}

/** Files with more lines than the limit. */
export function longFiles(sources: readonly Source[], limit: number): string[] {
  return sources
    .filter((source) => linesOf(source) > limit)
    .map(
      (source) => `${source.path} has ${linesOf(source)} lines and the limit is ${limit}: part it by reason to change`,
    );
}

/** The middle one of the files' lengths. */
export function medianLines(sources: readonly Source[]): number {
  const lengths = sources.map(linesOf).toSorted((a, b) => a - b);
  return lengths[Math.floor(lengths.length / 2)] ?? 0;
}

function linesOf({ text }: Source): number {
  return text.trimEnd().split("\n").length;
}

/** Something that only the named files may use. */
export type Reserved = { readonly pattern: RegExp; readonly files: readonly string[]; readonly remedy: string };

/** Uses of what is reserved for other files; comments do not count. */
export function reservedUses(sources: readonly Source[], reserved: readonly Reserved[]): string[] {
  return sources.flatMap((source) =>
    reserved
      .filter(({ files }) => !files.some((file) => isWithin(source.path, file)))
      .flatMap(({ pattern, remedy }) =>
        [...codeOf(source).matchAll(new RegExp(pattern, "g"))].map(([use]) => `${source.path} uses ${use}: ${remedy}`),
      ),
  );
}

/** Files whose name contains a word that says nothing, or is not kebab-case. */
export function vagueNames(sources: readonly Source[], words: readonly string[]): string[] {
  return sources.flatMap(({ path }) => {
    const name = path.split("/").at(-1)?.replace(/\..*$/, "") ?? "";
    const vague = name.split("-").filter((word) => words.includes(word.replace(/s$/, "")));
    if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) return [`${path} is not kebab-case`];
    return vague.map((word) => `${path}: "${word}" does not say what is inside`);
  });
}

const declarations =
  /^\s*(?:export\s+)?(?:abstract\s+|async\s+)?(?:type(?=\s+\w+\s*(?:<[^=]*>)?\s*=)|interface|class|enum|function\*?|const|let)\s+(?<name>\w+)/gm;

/** Types and values that have the name of a global, of one of TypeScript's own types, or of a type that `domain` exports. */
export function shadowingNames(sources: readonly Source[], domain: Source): string[] {
  const ofDomain = new Set(namesIn(domain).filter((name) => /^[A-Z]/.test(name)));
  return sources.flatMap((source) =>
    namesIn(source).flatMap((name) => {
      if (Object.hasOwn(globalThis, name) || utilityTypes.has(name)) return [`${source.path}: "${name}" is a global`];
      return source.path !== domain.path && ofDomain.has(name)
        ? [`${source.path}: "${name}" is a type of ${domain.path}`]
        : [];
    }),
  );
}

function namesIn(source: Source): string[] {
  return [...codeOf(source).matchAll(declarations)].map(({ groups }) => groups?.name ?? "");
}

/** Types that TypeScript declares everywhere, and that are no values. */
const utilityTypes = new Set([
  ...["Awaited", "Partial", "Required", "Readonly", "Record", "Pick", "Omit", "Exclude", "Extract", "NonNullable"],
  ...["Parameters", "ReturnType", "ConstructorParameters", "InstanceType", "ThisType", "ArrayLike", "PromiseLike"],
  ...[
    "Iterable",
    "AsyncIterable",
    "AsyncIterator",
    "Generator",
    "AsyncGenerator",
    "PropertyKey",
    "TemplateStringsArray",
  ],
]);
