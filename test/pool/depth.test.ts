import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { ExchangeResponseSchema } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { JsonValue, StoredResult } from "../../src/job/job.ts";
import { depthOf, maxJsonDepth } from "../../src/pool/depth.ts";
import { fromResult } from "../../src/rpc/convert/job.ts";

function depthByWalking(value: JsonValue): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthByWalking));
}

test("the depth read from a text is that of the value, whatever its strings hold", () => {
  const values = fc.jsonValue({
    maxDepth: 6,
    stringUnit: fc.constantFrom("[", "]", "{", "}", '"', "\\", "a", "\u2028"),
  });
  fc.assert(
    fc.property(values, (value) => {
      assert.equal(depthOf(JSON.stringify(value)), depthByWalking(value as JsonValue));
    }),
  );
});

test("what is as deep as allowed reaches a client, as output and as a failure's details", () => {
  const deep = (levels: number): JsonValue => (levels === 0 ? 1 : { a: deep(levels - 1) });
  const bytes = new TextEncoder().encode(JSON.stringify(deep(maxJsonDepth)));
  const rest = { deadReason: null, redrives: 0, labels: {}, attempts: 1, submittedAt: 1, startedAt: 1, finishedAt: 1 };
  const output: StoredResult = {
    ...{ cursor: 1, id: "i", task: "t", state: "SUCCEEDED", failure: null },
    output: { kind: "json", type: "", bytes },
    ...rest,
  };
  const failure = { reason: "r", message: "m", retryable: false, details: { d: deep(maxJsonDepth - 1) } };
  const failed: StoredResult = { ...output, state: "DEAD", output: null, failure };
  const results = [output, failed].map(fromResult);
  const response = create(ExchangeResponseSchema, { response: { case: "results", value: { results, cursor: 1n } } });
  assert.equal(fromBinary(ExchangeResponseSchema, toBinary(ExchangeResponseSchema, response)).response.case, "results");
});
