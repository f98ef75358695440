/**
 * Converts the messages of typed tasks. Imported when a task declares a message type, and not before: to load protobuf-es
 * takes a third of a thread's start.
 */
import { create, createRegistry, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import { countValues } from "../job/wire-scan.ts";

export type MessageCodec = {
  readonly type: DescMessage;
  decode(bytes: Uint8Array): unknown;
  /** Throws if these are not the fields of such a message. */
  encode(fields: unknown): Uint8Array;
  /** Counted like `limits.values`. */
  countValues(bytes: Uint8Array): number;
};

/** Messages in an `Any` stay encoded until a client unpacks them. */
const noTypes = createRegistry();

export function messageCodec(type: DescMessage): MessageCodec {
  return {
    type,
    decode: (bytes) => fromBinary(type, bytes),
    encode: (fields) => toBinary(type, create(type, fields as Record<string, unknown>)),
    countValues: (bytes) => countValues(type, bytes, noTypes),
  };
}
