/** Decodes requests in the binary wire format, and refuses malformed ones with a reason. */
import { type DescMessage, fromBinary, type Message } from "@bufbuild/protobuf";
import { messageOf, refusal } from "../errors.ts";
import { countValues, WireError } from "../job/wire-scan.ts";
import { checkCount, countedUpTo, type RequestBounds } from "./request-bounds.ts";
import { withUnreadJson } from "./unread-json.ts";

/** Throws `too_many_values` before decoding, and `malformed_request` if the bytes are not this message. */
export function readBinary(type: DescMessage, bytes: Uint8Array, bounds: RequestBounds): Message {
  if (bytes.length > bounds.maxValues) checkCount(valuesIn(type, bytes, bounds), bounds.maxValues); // a value takes at least one byte
  try {
    return fromBinary(withUnreadJson(type), bytes);
  } catch (error) {
    throw refusal("malformed_request", [`it is not a ${type.typeName}: ${messageOf(error)}`], { cause: error });
  }
}

function valuesIn(type: DescMessage, bytes: Uint8Array, { maxValues, types }: RequestBounds): number {
  try {
    return countValues(type, bytes, types, countedUpTo(maxValues));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw refusal("malformed_request", [`it is not a ${type.typeName}: ${error.message}`], { cause: error });
  }
}
