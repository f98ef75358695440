/** Types as a task's author has them, made from what a proto file would say. */
import { create, createFileRegistry, type DescFile, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { defaultRetryPolicy } from "../../../src/job/backoff.ts";
import type { LoadedTask, Tasks } from "../../../src/pool/tasks.ts";

export type FileInit = MessageInitShape<typeof FileDescriptorProtoSchema>;

/** A file of proto3 with a message of each name, which has one field of text. */
export function fileOf(name: string, packageName: string, messages: readonly string[], more: FileInit = {}): FileInit {
  return {
    ...{ name, package: packageName, syntax: "proto3" },
    messageType: messages.map((each) => ({ name: each, field: [textField("text", 1)] })),
    ...more,
  };
}

export function textField(name: string, number: number) {
  const type = { label: FieldDescriptorProto_Label.OPTIONAL, type: FieldDescriptorProto_Type.STRING };
  return { name, jsonName: name, number, ...type };
}

export function messageField(name: string, number: number, typeName: string) {
  return {
    ...{ name, number, typeName },
    ...{ label: FieldDescriptorProto_Label.OPTIONAL, type: FieldDescriptorProto_Type.MESSAGE },
  };
}

/** The last of these files, whose imports are among those before it and `given`. */
export function lastOf(files: readonly FileInit[], given: readonly DescFile[] = []): DescFile {
  const known = new Map(given.map((file) => [file.proto.name, file]));
  for (const init of files) {
    const proto = create(FileDescriptorProtoSchema, init);
    const file = createFileRegistry(proto, (name) => known.get(name)).getFile(proto.name);
    if (file) known.set(file.proto.name, file);
  }
  return known.get(files.at(-1)?.name ?? "") as DescFile;
}

export function messageOf(file: DescFile, name: string): DescMessage {
  return file.messages.find((message) => message.name === name) as DescMessage;
}

/** Tasks of these names that take these types. */
export function tasksWith(inputs: { readonly [task: string]: DescMessage }): Tasks {
  const entry = ([name, input]: [string, DescMessage]): [string, LoadedTask] => [
    name,
    {
      ...{ name, pool: "cpu", description: "", file: `file:///${name}.ts`, input, output: undefined },
      ...{ inputShape: undefined, outputShape: undefined },
      ...{ settings: undefined, resources: [], retry: defaultRetryPolicy, timeoutMs: 1000, hasCheck: false },
    },
  ];
  return new Map(Object.entries(inputs).map(entry));
}
