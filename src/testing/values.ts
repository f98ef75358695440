/** Converts the inputs and outputs of a test through the bytes in which they would travel. */
import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { invalid, messageOf } from "../errors.ts";
import type { JsonValue, Payload } from "../job/job.ts";
import { maxJsonDepth } from "../job/json-scan.ts";
import { faultOfFields, findNonJson } from "../json-value.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Throws `invalid_argument` when the input cannot be sent. */
export function payloadOf(type: DescMessage | undefined, input: unknown): Payload | null {
  if (type) {
    const fault = faultOfFields(input);
    if (fault !== null) {
      throw invalid([{ field: "input", description: `${fault} and must be the fields of a ${type.typeName}` }]);
    }
    return { kind: "message", type: type.typeName, bytes: bytesOf(type, input) };
  }
  if (input === undefined) return null;
  if (input instanceof Uint8Array) return { kind: "data", type: "", bytes: input };
  const fault = findNonJson(input, maxJsonDepth);
  if (fault) throw invalid([{ field: `input${fault.path}`, description: fault.description }]);
  return { kind: "json", type: "", bytes: encoder.encode(JSON.stringify(input)) };
}

function bytesOf(type: DescMessage, input: unknown): Uint8Array {
  try {
    return toBinary(type, create(type, input as MessageInitShape<typeof type>));
  } catch (error) {
    throw invalid([{ field: "input", description: `cannot be encoded: ${messageOf(error)}` }]);
  }
}

/** An absent output is undefined. */
export function outputOf(type: DescMessage | undefined, output: Payload | null): unknown {
  if (type) return fromBinary(type, output?.bytes ?? new Uint8Array());
  if (output === null) return undefined;
  return output.kind === "json" ? (JSON.parse(decoder.decode(output.bytes)) as JsonValue) : output.bytes;
}
