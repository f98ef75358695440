import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { fromBinary } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../src/gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../src/gen/google/rpc/status_pb.ts";

/** The gRPC status codes by number (https://grpc.io/docs/guides/status-codes/). */
const codeNames = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

/** A gRPC status code by its name. */
export type CodeName = (typeof codeNames)[number];

/** One field that breaks its contract, by its path, such as `input.width`. */
export type FieldViolation = { readonly field: string; readonly description: string };

/** What an error is made of. */
export type ErrorFacts = {
  readonly reason: string;
  readonly codeName: CodeName;
  readonly message: string;
  readonly retryAfterMs?: number | undefined;
  readonly violations?: readonly FieldViolation[];
};

/**
 * A call that failed. `message` is for people, `reason` for programs: one of the server's (docs/errors.md), or
 * `unreachable` (no server answers at the address), `wrong_port` (what answers there speaks HTTP/1.1 only),
 * `connection_lost` (it broke during the call), `client_closed`,
 * `invalid_argument` (the input cannot be encoded), `unreadable_response`, `unexpected_output`, or the gRPC code in lower case when what
 * answered was no Millpond server. Where the transport failed, `cause` has its own words.
 */
export class MillpondClientError extends Error {
  override readonly name = "MillpondClientError";
  readonly reason: string;
  readonly codeName: CodeName;
  /** `codeName` as gRPC's number. */
  readonly code: number;
  /** When the server advises to try again, in milliseconds from now; undefined when it gives no advice. */
  readonly retryAfterMs: number | undefined;
  /** What is wrong with which field; empty unless the reason is about fields. */
  readonly violations: readonly FieldViolation[];

  constructor(facts: ErrorFacts, options?: ErrorOptions) {
    super(facts.message, options);
    this.reason = facts.reason;
    this.codeName = facts.codeName;
    this.code = codeNames.indexOf(facts.codeName);
    this.retryAfterMs = facts.retryAfterMs;
    this.violations = facts.violations ?? [];
  }
}

/** A status as the connection received or made it up. `details`: the `grpc-status-details-bin` trailer. */
export type ReceivedStatus = {
  readonly code: number;
  readonly message: string;
  readonly details?: Uint8Array | undefined;
};

/** The error for a status. One without `google.rpc.ErrorInfo` was made by the transport, not by Millpond. */
export function toClientError(status: ReceivedStatus, address: string): MillpondClientError {
  const codeName = codeNames[status.code] ?? "UNKNOWN";
  const details = readDetails(status.details);
  const info = find(details, ErrorInfoSchema);
  const retryDelay = find(details, RetryInfoSchema)?.retryDelay;
  const retryAfterMs = retryDelay === undefined ? undefined : durationMs(retryDelay);
  if (info === undefined) {
    const facts = { ...transportFailure(codeName, status, address), retryAfterMs };
    return new MillpondClientError(facts, { cause: new Error(status.message) });
  }
  const violations = (find(details, BadRequestSchema)?.fieldViolations ?? []).map(({ field, description }) => ({
    field,
    description,
  }));
  return new MillpondClientError({ reason: info.reason, codeName, message: status.message, retryAfterMs, violations });
}

/** What is thrown by calls on a client that was closed. */
export function clientClosed(): MillpondClientError {
  return new MillpondClientError({
    reason: "client_closed",
    codeName: "CANCELLED",
    message: "the client was closed: make a new one with connect()",
  });
}

/** What is thrown in place of a response that is not the message that this client knows. */
export function unreadableResponse(type: string, address: string, cause: unknown): MillpondClientError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new MillpondClientError(
    {
      reason: "unreadable_response",
      codeName: "INTERNAL",
      message: `the ${type} from ${address} cannot be decoded: ${why}: check that a Millpond server runs there, and update this client to its version`,
    },
    { cause },
  );
}

/** Whether the same may work on a new connection or a little later, so that trying again is worth it. */
export function isPassing(error: unknown): error is MillpondClientError {
  if (!(error instanceof MillpondClientError)) return false;
  const { reason, codeName, retryAfterMs } = error;
  if (reason === "client_closed" || reason === "wrong_port") return false;
  return retryAfterMs !== undefined || codeName === "UNAVAILABLE" || passingReasons.has(reason);
}

/**
 * Whether the server refused to begin, so that even a call that must not be repeated may be tried again later. False if
 * that is unknown: the connection broke, or the store failed or was unavailable during the call.
 */
export function wasNotBegun(error: MillpondClientError): boolean {
  return error.retryAfterMs !== undefined && !ambiguousReasons.has(error.reason);
}

const ambiguousReasons: ReadonlySet<string> = new Set([
  "unreachable",
  "connection_lost",
  "store_failed",
  "store_unavailable",
]);

/** `slow_consumer`: the server closed a stream that was not read; reading on is just what a new one is for. */
const passingReasons: ReadonlySet<string> = new Set(["connection_lost", "slow_consumer"]);

/** How grpc-js reports a GOAWAY with HTTP_1_1_REQUIRED (RFC 9113 §7); the text that comes with it is not passed on. */
const http11Required = /\bSession closed with error code 13\b/;

function transportFailure(codeName: CodeName, { message }: ReceivedStatus, address: string): ErrorFacts {
  switch (codeName) {
    case "UNAVAILABLE":
      if (http11Required.test(message)) {
        return {
          reason: "wrong_port",
          codeName,
          message: `${address} is an HTTP/1.1 port, such as Millpond's HTTP port: gRPC is on another, 7717 by default`,
        };
      }
      return {
        reason: "unreachable",
        codeName,
        message: `no server answers at ${address}: check that it runs and that the address is right`,
      };
    case "CANCELLED": // how HTTP/2 resets of a dying server arrive
    case "UNKNOWN":
    case "INTERNAL":
      return { reason: "connection_lost", codeName, message: `the connection to ${address} broke: ${message}` };
    case "DEADLINE_EXCEEDED":
      return { reason: "deadline_exceeded", codeName, message: `${address} did not answer in time: ${message}` };
    default:
      return { reason: codeName.toLowerCase(), codeName, message };
  }
}

function readDetails(bytes: Uint8Array | undefined): readonly Any[] {
  if (bytes === undefined) return [];
  try {
    return fromBinary(StatusSchema, bytes).details;
  } catch {
    return []; // unreadable details are ignored; code and message remain
  }
}

function find<S extends DescMessage>(details: readonly Any[], schema: S): MessageShape<S> | undefined {
  for (const detail of details) {
    const message = anyUnpack(detail, schema);
    if (message !== undefined) return message;
  }
  return undefined;
}
