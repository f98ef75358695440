/** Payloads to what a task takes, and what it returns to payloads. */
import { create, createRegistry, type DescMessage, fromBinary, fromJson, toBinary } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { messageOf } from "../errors.ts";
import type { JsonValue, Payload } from "../job/job.ts";
import { faultOfFields, findNonJson, type NonJson } from "../json-value.ts";
import { maxJsonDepth, scanJson } from "../job/json-scan.ts";
import { countValues } from "../job/wire-scan.ts";
import { openSchema } from "./schema/open.ts";
import type { Schema, Side } from "./schema/schema.ts";
import { inputBy, outputBy } from "./schema/values.ts";
import { permanent } from "./task.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** What a task declared as its `input` or `output`. */
export type Declared = { readonly type?: DescMessage; readonly schema?: Schema };

/** Throws an Error whose message goes on behind "its input" when it is neither a message type nor a schema. */
export function declared(given: unknown, side: Side): Declared {
  if (given === undefined) return {};
  return isMessageType(given) ? { type: given } : { schema: openSchema(given, side) };
}

function isMessageType(given: unknown): given is DescMessage {
  return typeof given === "object" && given !== null && "kind" in given && given.kind === "message" && "file" in given;
}

/**
 * What `run` gets: the message of a typed task, what the schema makes of the JSON or bytes, or else these as they are. Nothing
 * is undefined for a Standard Schema, so that it may have a default, and null otherwise. Throws `UnfitInput`.
 */
export function decodeInput({ type, schema }: Declared, input: Payload | null): unknown {
  if (type) return fromBinary(type, input?.bytes ?? new Uint8Array());
  if (schema) return inputBy(schema, input === null ? undefined : untypedInput(input));
  return input === null ? null : untypedInput(input);
}

function untypedInput(input: Payload): unknown {
  return input.kind === "json" ? (JSON.parse(decoder.decode(input.bytes)) as JsonValue) : input.bytes;
}

export type OutputBounds = {
  /** In a message. */
  readonly maxBytes: number;
  /** As `limits.values` counts them: more would hold up the server's thread when the output is delivered. */
  readonly maxValues: number;
};

/** Throws a permanent TaskError when the output is not what the task declared, or beyond the bounds. */
export function encodeOutput({ type, schema }: Declared, output: unknown, bounds: OutputBounds): Payload | null {
  const { maxBytes, maxValues } = bounds;
  const value = schema ? outputBy(schema, output) : output;
  const payload = type ? typed(type, value, maxValues) : untyped(value, maxValues);
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

/** JSON travels as `google.protobuf.Value`, which for lists of small numbers takes six times the bytes of the text. */
const jsonGrowth = 8;

/** Bytes of the payload in a message. For JSON so short that it fits in any case, those of its text. */
function wireSize({ kind, bytes }: Payload, maxBytes: number): number {
  if (kind !== "json" || bytes.length * jsonGrowth <= maxBytes) return bytes.length;
  return toBinary(ValueSchema, fromJson(ValueSchema, JSON.parse(decoder.decode(bytes)) as JsonValue)).length;
}

/** A task's own keys are in a path. */
const maxPath = 200;

/** Messages in an `Any` stay what they are until a client unpacks them. */
const noTypes = createRegistry();

function typed(type: DescMessage, output: unknown, maxValues: number): Payload {
  let bytes: Uint8Array;
  try {
    const fault = faultOfFields(output);
    if (fault !== null) throw new Error(`it ${fault}`);
    bytes = toBinary(type, create(type, output as Record<string, unknown>));
  } catch (error) {
    throw permanent("bad_output", `the task returned something that is not a ${type.typeName}: ${messageOf(error)}`);
  }
  if (bytes.length > maxValues) checkValues(countValues(type, bytes, noTypes), maxValues);
  return { kind: "message", type: type.typeName, bytes: owned(bytes) };
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

/** Cloning a view to another thread clones the whole buffer behind it, so payloads own theirs. */
function owned(bytes: Uint8Array): Uint8Array {
  const isOwn = bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength;
  return isOwn ? bytes : new Uint8Array(bytes);
}
