/** Bound on the values in a request. They are counted before decoding, which takes a hundred times as long. */
import type { Registry } from "@bufbuild/protobuf";
import { refusal } from "../errors.ts";

export type RequestBounds = {
  /** Bound on the values of one message. */
  readonly maxValues: number;
  /** The message types that an `Any` may hold. */
  readonly types: Registry;
};

/** Where counting stops, because it takes time, too: a request with far more values is refused without their exact number. */
export function countedUpTo(maxValues: number): number {
  return 10 * maxValues;
}

export function checkCount(values: number, maxValues: number): void {
  if (values <= maxValues) return;
  const most = countedUpTo(maxValues);
  throw refusal("too_many_values", [values > most ? `more than ${most}` : `${values}`, maxValues]);
}
