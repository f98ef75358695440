/** Sends message types between threads, as the encoded files that describe them. */
import {
  createFileRegistry,
  type DescFile,
  type DescMessage,
  create,
  type FileRegistry,
  fromBinary,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

/** A task's types. `files`: a `google.protobuf.FileDescriptorSet`, in which each file comes after its imports. */
export type DescribedTypes = {
  readonly input: string | undefined;
  readonly output: string | undefined;
  readonly files: Uint8Array;
};

export type Types = { readonly input: DescMessage | undefined; readonly output: DescMessage | undefined };

export function describeTypes({ input, output }: Types): DescribedTypes {
  const files = new Map<string, DescFile>();
  const add = (file: DescFile) => {
    if (files.has(file.name)) return;
    for (const imported of file.dependencies) add(imported);
    files.set(file.name, file);
  };
  for (const type of [input, output]) if (type) add(type.file);
  const set = create(FileDescriptorSetSchema, { file: [...files.values()].map(({ proto }) => proto) });
  return { input: input?.typeName, output: output?.typeName, files: toBinary(FileDescriptorSetSchema, set) };
}

/**
 * Creates the types of all tasks from their descriptions. They work like generated ones but are different objects:
 * compare types by `typeName`.
 */
export function createTypeReader(): (described: DescribedTypes) => Types {
  const registries = new Map<string, FileRegistry>();
  return ({ input, output, files }) => {
    if (files.length === 0) return { input: undefined, output: undefined };
    const key = Buffer.from(files).toString("latin1");
    const registry = registries.get(key) ?? createFileRegistry(fromBinary(FileDescriptorSetSchema, files));
    registries.set(key, registry);
    const find = (name: string | undefined) => (name === undefined ? undefined : registry.getMessage(name));
    return { input: find(input), output: find(output) };
  };
}
