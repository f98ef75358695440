/** Formats the output of a task for people and for programs. */
import {
  type DescMessage,
  fromBinary,
  isMessage,
  type JsonValue,
  type Message,
  ScalarType,
  toJson,
} from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { shortened, size } from "./format.ts";
import { typeNamed, typeNameOf } from "./learned-types.ts";

/** A message, its type, and the JSON that protobuf maps it to. */
type Typed = { readonly type: DescMessage; readonly message: Message; readonly json: JsonValue };

/** An output in the form of `--json`. */
export type OutputAsJson = {
  /** `json`, `bytes`, `none`, or the name of a message type. */
  readonly outputType: string;
  /** The value; bytes in base64, messages in protobuf's JSON mapping, and a message of an unknown type in base64. */
  readonly output?: unknown;
};

/** The output for programs. */
export function outputAsJson(output: unknown): OutputAsJson {
  if (output === undefined) return { outputType: "none" };
  if (output instanceof Uint8Array) return { outputType: "bytes", output: base64(output) };
  const typed = typedOf(output);
  if (typed) return { outputType: typed.type.typeName, output: typed.json };
  if (isUnknownMessage(output)) return { outputType: typeNameOf(output), output: base64(output.value) };
  return { outputType: "json", output };
}

/** The output for people, on one line of at most `length` characters; bytes as their size. */
export function outputAsText(output: unknown, length: number): string {
  if (output === undefined) return "nothing";
  if (output instanceof Uint8Array) return size(output.length);
  const typed = typedOf(output);
  if (typed === undefined && isUnknownMessage(output)) return `${typeNameOf(output)}, ${size(output.value.length)}`;
  return shortened(JSON.stringify(typed ? withSizes(typed) : output), length);
}

/** The bytes to save to a file: the output itself, or the first bytes field of its message. */
export function bytesOf(output: unknown): Uint8Array | undefined {
  if (output instanceof Uint8Array) return output;
  const typed = typedOf(output);
  return typed && Object.values(fieldsOf(typed.message)).find((value) => value instanceof Uint8Array);
}

/** The file extension for these bytes, by their first bytes: pictures are recognized, the rest is `.bin`. */
export function extensionOf(bytes: Uint8Array): string {
  const head = Buffer.from(bytes.subarray(0, 12)).toString("latin1");
  return signatures.find(([pattern]) => pattern.test(head))?.[1] ?? ".bin";
}

const signatures: readonly (readonly [RegExp, string])[] = [
  [/^\xff\xd8\xff/, ".jpg"],
  [/^\x89PNG/, ".png"],
  [/^RIFF.{4}WEBP/s, ".webp"],
  [/^.{4}ftypavif/s, ".avif"],
];

/** Protobuf's JSON mapping with the size of each bytes field instead of the bytes. */
function withSizes({ type, message, json: exact }: Typed): unknown {
  const json = { ...(exact as Record<string, unknown>) };
  const given = fieldsOf(message);
  for (const field of type.fields) {
    const value = given[field.localName];
    if (field.scalar === ScalarType.BYTES && value instanceof Uint8Array && field.jsonName in json) {
      json[field.jsonName] = size(value.length);
    }
  }
  return json;
}

/** The message's own fields by name, those of a oneof included. */
function fieldsOf(message: Message): Record<string, unknown> {
  const entries = Object.entries(message).map(([name, value]) => {
    const oneof = value as { readonly case?: string; readonly value?: unknown } | null;
    return typeof oneof === "object" && oneof?.case !== undefined ? [oneof.case, oneof.value] : [name, value];
  });
  return Object.fromEntries(entries);
}

/**
 * Undefined if the output is no message, its type is unknown, or the known type cannot decode it, such as one of
 * another version.
 */
function typedOf(output: unknown): Typed | undefined {
  if (!isMessage(output)) return undefined;
  const type = typeNamed(isUnknownMessage(output) ? typeNameOf(output) : output.$typeName);
  if (type === undefined) return undefined;
  try {
    const message = isUnknownMessage(output) ? fromBinary(type, output.value) : output;
    return { type, message, json: toJson(type, message) };
  } catch {
    return undefined;
  }
}

function isUnknownMessage(output: unknown): output is Any {
  return isMessage(output, AnySchema);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
