/** Decodes payloads to the inputs of tasks, and encodes their outputs. */
import type { DescMessage } from "@bufbuild/protobuf";
import { messageOf } from "../errors.ts";
import type { JsonValue, Payload } from "../job/job.ts";
import { faultOfFields, findNonJson, type NonJson } from "../json-value.ts";
import { maxJsonDepth, scanJson } from "../job/json-scan.ts";
import type { MessageCodec } from "./protobuf.ts";
import type { Schema, Side } from "./schema/schema.ts";
import { inputBy, outputBy } from "./schema/values.ts";
import { permanent } from "./task.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** The declared `input` or `output` of a task. */
export type Declared = { readonly message?: MessageCodec; readonly schema?: Schema };

/**
 * Rejects with an Error, whose message continues after "its input", if it is neither a message type nor a schema. A
 * thread whose tasks declare nothing loads neither protobuf-es nor the code for schemas.
 */
export async function declared(given: unknown, side: Side): Promise<Declared> {
  if (given === undefined) return {};
  if (isMessageType(given)) return { message: (await import("./protobuf.ts")).messageCodec(given) };
  return { schema: (await import("./schema/open.ts")).openSchema(given, side) };
}

function isMessageType(given: unknown): given is DescMessage {
  return typeof given === "object" && given !== null && "kind" in given && given.kind === "message" && "file" in given;
}

/**
 * The argument of `run`: a typed task's message, or the JSON or bytes, passed through the schema if there is one. An
 * absent input is undefined for a Standard Schema, so that it can apply a default, and null otherwise. Throws
 * `UnfitInput`.
 */
export function decodeInput({ message, schema }: Declared, input: Payload | null): unknown {
  if (message) return message.decode(input?.bytes ?? new Uint8Array());
  if (schema) return inputBy(schema, input === null ? undefined : untypedInput(input));
  return input === null ? null : untypedInput(input);
}

function untypedInput(input: Payload): unknown {
  return input.kind === "json" ? (JSON.parse(decoder.decode(input.bytes)) as JsonValue) : input.bytes;
}

export type OutputBounds = {
  /** Size in a message. */
  readonly maxBytes: number;
  /** Counted like `limits.values`: more would block the server's thread when the output is delivered. */
  readonly maxValues: number;
};

/** Throws a permanent TaskError if the output is not of the declared type, or exceeds the bounds. */
export function encodeOutput({ message, schema }: Declared, output: unknown, bounds: OutputBounds): Payload | null {
  const { maxBytes, maxValues } = bounds;
  const value = schema ? outputBy(schema, output) : output;
  const payload = message ? typed(message, value, maxValues) : untyped(value, maxValues);
  const size = payload ? wireSize(payload, maxBytes) : 0;
  if (size > maxBytes) {
    throw permanent(
      "output_too_large",
      `the output has ${size} bytes and the limit is ${maxBytes}: return less, or write it to a file`,
      { size, limit: maxBytes },
    );
  }
  return payload;
}

function checkValues(values: number, maxValues: number): void {
  if (values <= maxValues) return;
  throw permanent(
    "output_too_large",
    `the output has ${values} values and the limit is ${maxValues}: return less, return it as bytes, or raise limits.values`,
    { values, limit: maxValues },
  );
}

/**
 * Upper bound on the growth of JSON text as a `google.protobuf.Value`, which takes six times the bytes for lists of
 * small numbers.
 */
const jsonGrowth = 8;

/** Size of the payload in a message. For JSON that is short enough to fit in any case, the size of its text. */
function wireSize({ kind, bytes }: Payload, maxBytes: number): number {
  if (kind !== "json" || bytes.length * jsonGrowth <= maxBytes) return bytes.length;
  return valueSize(JSON.parse(decoder.decode(bytes)) as JsonValue);
}

/** Size of a JSON value as a `google.protobuf.Value`. The recursion is bounded, because outputs nest `maxJsonDepth` levels at most. */
function valueSize(value: JsonValue): number {
  if (value === null || typeof value === "boolean") return 2;
  if (typeof value === "number") return 9;
  if (typeof value === "string") return fieldSize(Buffer.byteLength(value));
  let size = 0;
  if (Array.isArray(value)) for (const item of value) size += fieldSize(valueSize(item));
  else
    for (const [key, member] of Object.entries(value))
      size += fieldSize(fieldSize(Buffer.byteLength(key)) + fieldSize(valueSize(member)));
  return fieldSize(size);
}

/** Size of a field whose content has this many bytes, with its tag and length. */
function fieldSize(bytes: number): number {
  let lengthBytes = 1;
  for (let rest = bytes; rest >= 128; rest /= 128) lengthBytes += 1;
  return 1 + lengthBytes + bytes;
}

/** Bound on a path in a message: it contains keys of the output. */
const maxPath = 200;

function typed(message: MessageCodec, output: unknown, maxValues: number): Payload {
  const { typeName } = message.type;
  let bytes: Uint8Array;
  try {
    const fault = faultOfFields(output);
    if (fault !== null) throw new Error(`it ${fault}`);
    bytes = message.encode(output);
  } catch (error) {
    throw permanent("bad_output", `the task returned something that is not a ${typeName}: ${messageOf(error)}`);
  }
  if (bytes.length > maxValues) checkValues(message.countValues(bytes), maxValues);
  return { kind: "message", type: typeName, bytes: owned(bytes) };
}

function untyped(output: unknown, maxValues: number): Payload | null {
  if (output === undefined) return null;
  if (output instanceof Uint8Array) return { kind: "data", type: "", bytes: owned(output) };
  const text = jsonTextOf(output);
  checkValues(scanJson(text).values, maxValues);
  return { kind: "json", type: "", bytes: owned(encoder.encode(text)) };
}

function jsonTextOf(output: unknown): string {
  let fault: NonJson | null;
  try {
    fault = findNonJson(output, maxJsonDepth);
    const text = fault ? undefined : (JSON.stringify(output) as string | undefined);
    if (text !== undefined) return text;
  } catch (error) {
    throw permanent("bad_output", `the task returned something that is not JSON: ${messageOf(error)}`);
  }
  const { path, description } = fault ?? { path: "", description: "is nothing by its own toJSON" };
  throw permanent("bad_output", `output${path}`.slice(0, maxPath) + ` ${description}`);
}

/** Copies a view: sending a view to another thread clones its whole buffer, so payloads have their own. */
function owned(bytes: Uint8Array): Uint8Array {
  const isOwn = bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength;
  return isOwn ? bytes : new Uint8Array(bytes);
}
