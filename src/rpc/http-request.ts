/**
 * Reads, inflates and decodes the single request message of a call on the HTTP port, by the same rules as the gRPC
 * port. Connect would decode it before its values are counted, and would turn decoding errors into errors without
 * details; so it gets an empty message.
 */
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import type { DescMessage, Message } from "@bufbuild/protobuf";
import { messageOf, refusal } from "../errors.ts";
import { readBinary } from "./binary-request.ts";
import { envelope, hasCompressedFlag, headBytes, isEnveloped, lengthOf } from "./envelopes.ts";
import { readJson } from "./json-request.ts";
import type { RequestBounds } from "./request-bounds.ts";

export type RequestReading = {
  readonly type: DescMessage;
  readonly bounds: RequestBounds;
  /** Bound on the message, before and after it is inflated. */
  readonly maxBytes: number;
  /** Called with the message, before Connect gets any byte of the body. */
  readonly onMessage: (message: Message) => void;
};

/**
 * The body for Connect; iterating it reads the request and throws refusals. Deletes headers that no longer match this
 * body. Requests that Connect refuses for their headers or framing are passed on so that it still refuses them: a
 * compressed message without an encoding, half a message, none, or several.
 */
export function readRequest(
  header: Headers,
  body: AsyncIterable<Uint8Array>,
  reading: RequestReading,
): AsyncIterable<Uint8Array> {
  const contentType = header.get("content-type") ?? "";
  const length = Number(header.get("content-length"));
  const isJson = /json/i.test(contentType);
  const isGzip = header.get(encodingKeyOf(contentType)) === "gzip";
  header.delete("content-length");
  if (isEnveloped(contentType)) return readEnveloped(body, { ...reading, isJson, length, isGzip });
  if (isGzip) header.delete("content-encoding");
  return readUnary(body, { ...reading, isJson, length, isGzip });
}

/** The header with the encoding of a request: it differs between gRPC-Web, Connect streams and Connect unary calls. */
function encodingKeyOf(contentType: string): string {
  if (!isEnveloped(contentType)) return "content-encoding";
  return /^application\/grpc/i.test(contentType) ? "grpc-encoding" : "connect-content-encoding";
}

type Reading = RequestReading & {
  readonly isJson: boolean;
  /** The content length; NaN or 0: not announced. */
  readonly length: number;
  readonly isGzip: boolean;
};

async function* readUnary(body: AsyncIterable<Uint8Array>, reading: Reading): AsyncGenerator<Uint8Array> {
  const { maxBytes, length, isGzip } = reading;
  if (length > maxBytes) throw tooLarge(maxBytes);
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const bytes of body) {
    parts.push(bytes);
    size += bytes.length;
    if (size > maxBytes) throw tooLarge(maxBytes);
  }
  yield await decode(joined(parts), isGzip, reading);
}

async function* readEnveloped(body: AsyncIterable<Uint8Array>, reading: Reading): AsyncGenerator<Uint8Array> {
  const { maxBytes, isGzip } = reading;
  let parts: Uint8Array[] = [];
  let size = 0;
  let wanted = 0;
  for await (const bytes of body) {
    parts.push(bytes);
    size += bytes.length;
    if (size < headBytes) continue;
    if (wanted === 0) {
      const begin = joined(parts);
      parts = [begin];
      wanted = headBytes + lengthOf(begin);
      if (wanted > headBytes + maxBytes) throw tooLarge(maxBytes);
    }
    if (size > wanted) {
      const empty = envelope(0, emptyMessage(reading));
      yield* [empty, empty];
      return;
    }
  }
  const all = joined(parts);
  const flags = all[0] ?? 0;
  const isCompressed = hasCompressedFlag(flags);
  if (size < headBytes || size < wanted || (isCompressed && !isGzip)) yield all;
  else yield envelope(flags, await decode(all.subarray(headBytes), isCompressed, reading));
}

/** Passes the decoded message to `onMessage`, and returns the empty one for Connect. */
async function decode(bytes: Uint8Array, isCompressed: boolean, reading: Reading): Promise<Uint8Array> {
  const { type, isJson, maxBytes, bounds, onMessage } = reading;
  const message = isCompressed ? await inflate(bytes, maxBytes) : bytes;
  onMessage(isJson ? readJson(type, message, bounds) : readBinary(type, message, bounds));
  return emptyMessage(reading);
}

function emptyMessage({ isJson }: Reading): Uint8Array {
  return Buffer.from(isJson ? "{}" : "");
}

const gunzipped = promisify(gunzip);

async function inflate(bytes: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  try {
    return await gunzipped(bytes, { maxOutputLength: maxBytes });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(maxBytes);
    const what = `it is declared as gzip and cannot be inflated: ${messageOf(error)}`;
    throw refusal("malformed_request", [what], { cause: error });
  }
}

function tooLarge(maxBytes: number) {
  return refusal("message_too_large", [maxBytes]);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
}
