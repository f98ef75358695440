/**
 * Decodes JSON inputs in the wire format without `google.protobuf.Value`: protobuf-es creates three objects per value
 * and converts them to JSON again, which takes four times as long.
 */
import {
  clone,
  create,
  createFileRegistry,
  type DescFile,
  type DescMessage,
  type FileRegistry,
  type Message,
} from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { file_millpond_v1_job, PayloadSchema } from "../gen/millpond/v1/job_pb.ts";
import type { JsonValue } from "../job/job.ts";
import { maxJsonDepth } from "../job/json-scan.ts";

const jsonField = PayloadSchema.field.json;

const registries = new Map<DescFile, FileRegistry>();

/**
 * The same type, but without the field `json` of `Payload`: decoders keep its bytes as an unknown field, which
 * `unreadJson` reads.
 */
export function withUnreadJson(type: DescMessage): DescMessage {
  let registry = registries.get(type.file);
  if (!registry) {
    const files = new Map<string, FileDescriptorProto>();
    collect(type.file, files);
    registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [...files.values()] }));
    registries.set(type.file, registry);
  }
  return registry.getMessage(type.typeName) ?? type;
}

/** Adds the file after its imports. */
function collect(file: DescFile, files: Map<string, FileDescriptorProto>): void {
  if (files.has(file.proto.name)) return;
  for (const dependency of file.dependencies) collect(dependency, files);
  files.set(file.proto.name, file === file_millpond_v1_job ? withoutJson(file.proto) : file.proto);
}

function withoutJson(proto: FileDescriptorProto): FileDescriptorProto {
  const copy = clone(FileDescriptorProtoSchema, proto);
  const payload = copy.messageType.find(({ name }) => name === PayloadSchema.name);
  if (payload) payload.field = payload.field.filter(({ number }) => number !== jsonField.number);
  return copy;
}

/** The JSON in the unknown field of a payload; undefined: there is none. Throws for values that JSON does not have. */
export function unreadJson({ $unknown }: Message): JsonValue | undefined {
  let value: JsonValue | undefined;
  for (const { no, wireType, data } of $unknown ?? []) {
    if (no !== jsonField.number || wireType !== WireType.LengthDelimited) continue;
    const reader = new BinaryReader(data, decodeUtf8);
    value = readValue(reader, reader.uint32() + reader.pos, maxJsonDepth + 1, value);
  }
  return value;
}

/**
 * Lists and objects that are nested too deep are left empty, so that the stack does not overflow: such an input is
 * refused for its depth.
 */
function readValue(reader: BinaryReader, end: number, levels: number, before: JsonValue | undefined): JsonValue {
  let value = before;
  while (reader.pos < end) {
    const [field, wireType] = reader.tag();
    switch (field) {
      case 1:
        reader.int32();
        value = null;
        break;
      case 2:
        value = finite(reader.double());
        break;
      case 3:
        value = reader.string(true);
        break;
      case 4:
        value = reader.bool();
        break;
      case 5: // repeated occurrences are merged, as in every message
        value = readObject(reader, reader.uint32() + reader.pos, levels, isObject(value) ? value : {});
        break;
      case 6:
        value = readList(reader, reader.uint32() + reader.pos, levels, Array.isArray(value) ? value : []);
        break;
      default:
        reader.skip(wireType, field);
    }
  }
  if (value === undefined) throw new Error("a google.protobuf.Value has no kind: set one, for example null_value");
  return value;
}

function readObject(reader: BinaryReader, end: number, levels: number, object: JsonObject): JsonObject {
  if (levels === 0) reader.pos = end;
  while (reader.pos < end) {
    const [field, wireType] = reader.tag();
    if (field === 1) readMember(reader, reader.uint32() + reader.pos, levels, object);
    else reader.skip(wireType, field);
  }
  return object;
}

function readMember(reader: BinaryReader, end: number, levels: number, object: JsonObject): void {
  let name = "";
  let value: JsonValue | undefined;
  while (reader.pos < end) {
    const [field, wireType] = reader.tag();
    if (field === 1) name = reader.string(true);
    else if (field === 2) value = readValue(reader, reader.uint32() + reader.pos, levels - 1, value);
    else reader.skip(wireType, field);
  }
  if (value === undefined)
    throw new Error(`member "${name.slice(0, 100)}" of an object has no value: set one, for example null`);
  if (name === "__proto__")
    Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
  else object[name] = value;
}

function readList(reader: BinaryReader, end: number, levels: number, list: JsonValue[]): JsonValue[] {
  if (levels === 0) reader.pos = end;
  while (reader.pos < end) {
    const [field, wireType] = reader.tag();
    if (field === 1) list.push(readValue(reader, reader.uint32() + reader.pos, levels - 1, undefined));
    else reader.skip(wireType, field);
  }
  return list;
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Node's own decoder is faster for short texts, and returns U+FFFD where the strict one throws. */
function decodeUtf8(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
  return text.includes("\ufffd") ? strict.decode(bytes) : text;
}

type JsonObject = { [key: string]: JsonValue };

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function finite(value: number): number {
  if (Number.isFinite(value)) return value;
  throw new Error(`JSON has no number ${value}: send it as a string`);
}
