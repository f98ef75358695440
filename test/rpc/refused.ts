/** What a refused call says, read from the details that every error carries. */
import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  QuotaFailureSchema,
  RetryInfoSchema,
} from "../../src/gen/google/rpc/error_details_pb.ts";

export type Refused = {
  readonly code: string;
  readonly message: string;
  readonly reason: string;
  /** From RetryInfo, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** From the trailer that stock gRPC clients obey. */
  readonly pushbackMs: number | undefined;
  readonly fields: readonly string[];
  readonly quota: readonly string[];
};

/** Waits for the call to fail and reads why; fails the test when it succeeds, or when the error has no ErrorInfo of ours. */
export async function refused(call: Promise<unknown>): Promise<Refused> {
  const error = await call.then(
    (value) =>
      assert.fail(
        `the call succeeded: ${JSON.stringify(value, (_, each) => (typeof each === "bigint" ? String(each) : each))}`,
      ),
    (thrown: unknown) => thrown,
  );
  return read(error);
}

/** Reads an error that was caught. */
export function read(error: unknown): Refused {
  if (!(error instanceof ConnectError)) throw error;
  const [info, ...more] = error.findDetails(ErrorInfoSchema);
  assert.ok(info, `no ErrorInfo in: [${Code[error.code]}] ${error.rawMessage}`);
  assert.deepEqual(more, []);
  assert.equal(info.domain, "millpond");
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  const pushback = error.metadata.get("grpc-retry-pushback-ms");
  return {
    code: Code[error.code] ?? "",
    message: error.rawMessage,
    reason: info.reason,
    retryAfterMs: delay && Number(delay.seconds) * 1000 + delay.nanos / 1e6,
    pushbackMs: pushback === null ? undefined : Number(pushback),
    fields: error
      .findDetails(BadRequestSchema)
      .flatMap(({ fieldViolations }) => fieldViolations.map(({ field }) => field)),
    quota: error.findDetails(QuotaFailureSchema).flatMap(({ violations }) => violations.map(({ subject }) => subject)),
  };
}
