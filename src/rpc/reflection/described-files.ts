/**
 * The files that describe all types of the server, Millpond's own and those of the tasks, as one consistent set: no file name
 * and no symbol is in it twice, because some tools load all of it.
 */
import { type DescFile, type DescMessage, clone, toBinary } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { type FileDescriptorProto, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { messageOf } from "../../errors.ts";
import type { Tasks } from "../../pool/tasks.ts";

export type DescribedFile = {
  readonly proto: FileDescriptorProto;
  /** `proto` on the wire. */
  readonly bytes: Uint8Array;
  readonly imports: readonly DescribedFile[];
  /** Full names of what the file declares: types, services, extensions, and their fields, values and methods. */
  readonly symbols: readonly string[];
  readonly extensions: readonly { readonly extendee: string; readonly number: number }[];
};

export type DescribedFiles = {
  /** By name; each comes after those it imports. */
  readonly files: ReadonlyMap<string, DescribedFile>;
  /** The file that declares a task's type; undefined: it was omitted. */
  fileOf(type: DescMessage): DescribedFile | undefined;
  /** Tasks whose types were omitted because they conflict with earlier ones, and why. */
  readonly leftOut: readonly { readonly task: string; readonly why: string }[];
};

/**
 * Several tasks may have a file of the same name, such as `input.proto`: the second one is prefixed with its task's
 * name. Symbols cannot be renamed: a file that declares an existing symbol is omitted. Files that Millpond itself
 * contains, such as those of google.protobuf, replace a task's copy.
 */
export function describeFiles(own: readonly DescFile[], tasks: Tasks): DescribedFiles {
  const files = new Map<string, DescribedFile>();
  /** Files by their original name, with their bytes under that name. */
  const arrived = new Map<string, readonly { readonly bytes: Uint8Array; readonly file: DescribedFile }[]>();
  const owners = new Map<string, string>();
  const placed = new Map<DescFile, DescribedFile>();
  const ownNames = new Set<string>();
  const leftOut: { task: string; why: string }[] = [];

  function place(file: DescFile, task: string | undefined): DescribedFile {
    const present = placed.get(file) ?? find(file, task);
    placed.set(file, present);
    return present;
  }

  function find(file: DescFile, task: string | undefined): DescribedFile {
    const { name } = file.proto;
    const imports = file.dependencies.map((each) => place(each, task));
    const described = describe(file, name, imports);
    const others = arrived.get(name) ?? [];
    const same = others.find(({ bytes }) => Buffer.from(bytes).equals(described.bytes));
    if (same) return same.file;
    const twin = files.get(name);
    if (twin && ownNames.has(name) && declaresAll(twin, described.symbols)) return twin;
    const added = add(twin ? describe(file, freeName(`${task}/${name}`), imports) : described);
    arrived.set(name, [...others, { bytes: described.bytes, file: added }]);
    return added;
  }

  function freeName(wanted: string): string {
    let name = wanted;
    for (let count = 2; files.has(name); count += 1) name = `${count}/${wanted}`;
    return name;
  }

  function add(described: DescribedFile): DescribedFile {
    const { name } = described.proto;
    const taken = described.symbols.find((symbol) => owners.has(symbol));
    if (taken !== undefined) throw new Error(`${name} declares ${taken}, and so does ${owners.get(taken)}`);
    for (const symbol of described.symbols) owners.set(symbol, name);
    files.set(name, described);
    return described;
  }

  for (const file of own) place(file, undefined);
  for (const name of files.keys()) ownNames.add(name);
  for (const { name: task, input, output } of tasks.values()) {
    for (const type of [input, output]) {
      try {
        if (type) place(type.file, task);
      } catch (error) {
        leftOut.push({ task, why: messageOf(error) });
      }
    }
  }
  return { files, fileOf: ({ file }) => placed.get(file), leftOut };
}

/** A file and everything it imports: itself first, then its nearest imports. */
export function withImports(file: DescribedFile): readonly DescribedFile[] {
  const all = new Set([file]);
  for (const each of all) for (const imported of each.imports) all.add(imported);
  return [...all];
}

function declaresAll(file: DescribedFile, symbols: readonly string[]): boolean {
  const declared = new Set(file.symbols);
  return symbols.every((symbol) => declared.has(symbol));
}

function describe(file: DescFile, name: string, imports: readonly DescribedFile[]): DescribedFile {
  const dependency = imports.map(({ proto }) => proto.name);
  const isAsItWas = name === file.proto.name && dependency.every((each, at) => each === file.proto.dependency[at]);
  const proto = isAsItWas
    ? file.proto
    : Object.assign(clone(FileDescriptorProtoSchema, file.proto), { name, dependency });
  const extensions = [];
  const symbols: string[] = [];
  for (const type of nestedTypes(file)) {
    symbols.push(type.typeName);
    const within = (names: readonly { readonly name: string }[]) =>
      symbols.push(...names.map((each) => `${type.typeName}.${each.name}`));
    if (type.kind === "message") within([...type.fields, ...type.oneofs]);
    else if (type.kind === "service") within(type.methods);
    else if (type.kind === "extension") extensions.push({ extendee: type.extendee.typeName, number: type.number });
    else {
      // an enum value is in the scope around its enum, not below it
      const scope = type.typeName.slice(0, type.typeName.lastIndexOf(".") + 1);
      symbols.push(...type.values.map((value) => scope + value.name));
    }
  }
  return { proto, bytes: toBinary(FileDescriptorProtoSchema, proto), imports, symbols, extensions };
}
