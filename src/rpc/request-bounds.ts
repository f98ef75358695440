/** What a request may hold beside its bytes: checked before it is decoded, which takes a hundred times as long. */
import type { DescMessage, Registry } from "@bufbuild/protobuf";
import { refusal } from "../errors.ts";
import { countValues, WireError } from "../job/wire-scan.ts";

export type RequestBounds = {
  /** Bound on the values of one message. */
  readonly maxValues: number;
  /** The types of messages that an `Any` may hold. */
  readonly types: Registry;
};

/** Throws `too_many_values`, or `malformed_request` for what is not in the wire format. */
export function checkBinary(type: DescMessage, bytes: Uint8Array, { maxValues, types }: RequestBounds): void {
  if (bytes.length <= maxValues) return; // a value takes a byte at least
  let values: number;
  try {
    values = countValues(type, bytes, types, countedUpTo(maxValues));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw refusal("malformed_request", [`it is not a ${type.typeName}: ${error.message}`], { cause: error });
  }
  checkCount(values, maxValues);
}

/** Who sends far more is told no exact number: counting takes time too. */
export function countedUpTo(maxValues: number): number {
  return 10 * maxValues;
}

export function checkCount(values: number, maxValues: number): void {
  if (values <= maxValues) return;
  const most = countedUpTo(maxValues);
  throw refusal("too_many_values", [values > most ? `more than ${most}` : `${values}`, maxValues]);
}
