/** Errors in gRPC's rich error model: google.rpc.Status with details (AIP-193). */
import { create, type DescMessage, type MessageInitShape, toBinary, toJson } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { randomUUID } from "node:crypto";
import { Code, MillpondError, messageOf, refusal, rules } from "../errors.ts";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  QuotaFailureSchema,
  RetryInfoSchema,
} from "../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import type { Log } from "../log.ts";
import { durationFromMs } from "./convert/time.ts";

export const errorDomain = "millpond";
/** Trailer with the retry delay in milliseconds, which standard gRPC clients with a retry policy honour (gRFC A6). */
export const pushbackKey = "grpc-retry-pushback-ms";
export const statusDetailsKey = "grpc-status-details-bin";

export type ErrorDetail = { readonly desc: DescMessage; readonly value: { readonly [key: string]: unknown } };

/**
 * Converts anything thrown to a MillpondError that fits into headers. An unknown error is logged, and the caller only
 * gets its incident id.
 */
export function toMillpondError(error: unknown, log: Log): MillpondError {
  if (error instanceof MillpondError) return fitting(error);
  const incident = randomUUID();
  log.error(
    { incident, error: messageOf(error), stack: error instanceof Error ? error.stack : undefined },
    "a call failed",
  );
  return refusal("internal", [incident], { cause: error });
}

/**
 * Many clients accept 8 KiB of metadata. The message of an error is sent twice, as text and in the details, and the
 * details are in base64: 2,000 bytes for the message and as many for the fields fit.
 */
const maxMessageBytes = 2_000;
const maxViolationBytes = 2_000;

/** The same error; if it is too long, with its message truncated and its last violations omitted. */
function fitting(error: MillpondError): MillpondError {
  const { reason, retryAfterMs, violations } = error;
  let rest = maxViolationBytes;
  const first = violations.filter(({ field, description }) => {
    rest -= Buffer.byteLength(field) + Buffer.byteLength(description);
    return rest >= 0;
  });
  let message = error.message;
  while (encodeURIComponent(message).length > maxMessageBytes) {
    message = `${message.slice(0, message.length * 0.9 - 3)}...`.toWellFormed();
  }
  if (message === error.message && first.length === violations.length) return error;
  return new MillpondError(reason, message, {
    violations: first,
    cause: error,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}

export function detailsOf(error: MillpondError): ErrorDetail[] {
  const details = [detail(ErrorInfoSchema, { reason: error.reason, domain: errorDomain })];
  if (error.retryAfterMs !== undefined) {
    details.push(detail(RetryInfoSchema, { retryDelay: durationFromMs(error.retryAfterMs) }));
  }
  if (error.violations.length > 0) {
    const fieldViolations = error.violations.map(({ field, description }) => ({ field, description }));
    details.push(detail(BadRequestSchema, { fieldViolations }));
  }
  if (error.reason === "rate_limited" || error.reason === "queue_full") {
    details.push(detail(QuotaFailureSchema, { violations: [{ subject: error.reason, description: error.message }] }));
  }
  return details;
}

function detail<D extends DescMessage>(desc: D, value: MessageInitShape<D>): ErrorDetail {
  return { desc, value: value };
}

/** The value of the `grpc-status-details-bin` trailer. */
export function statusBytes(error: MillpondError): Buffer {
  const details = detailsOf(error).map(({ desc, value }) => anyPack(desc, create(desc, value)));
  const bytes = toBinary(StatusSchema, create(StatusSchema, { code: error.code, message: error.message, details }));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The error as headers or trailers of gRPC and gRPC-Web, for responses sent without grpc-js or connect-node. */
export function grpcHeaders(error: MillpondError, random: () => number): [string, string][] {
  return [
    ["grpc-status", String(error.code)],
    ["grpc-message", encodeURIComponent(error.message)],
    [statusDetailsKey, base64(statusBytes(error))],
    ...trailersOf(error, random).map(([key, value]): [string, string] => [key, value]),
  ];
}

/** Without padding, as gRPC and Connect write it. */
function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64").replace(/=+$/, "");
}

/** The error in Connect's JSON, for responses sent without connect-node. */
export function errorJson(error: MillpondError): object {
  const name = Object.entries(Code).find(([, code]) => code === error.code)?.[0] ?? "Unknown";
  const details = detailsOf(error).map(({ desc, value }) => {
    const detail = create(desc, value);
    return { type: desc.typeName, debug: toJson(desc, detail), value: base64(toBinary(desc, detail)) };
  });
  const code = name.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase();
  return { code, message: error.message, details };
}

/** Trailers of an error besides its details. `random` is in [0, 1). */
export function trailersOf(
  { reason, retryAfterMs }: MillpondError,
  random: () => number,
): readonly (readonly [string, string])[] {
  if (retryAfterMs !== undefined) return [[pushbackKey, String(Math.ceil(retryAfterMs * (1 + maxSpread * random())))]];
  return rules[reason].retryable ? [] : [[pushbackKey, "-1"]]; // never retry, whatever the client's policy for the code is
}

/** Jitter as a share of the wait: clients that are refused together add none of their own. */
const maxSpread = 0.5;
