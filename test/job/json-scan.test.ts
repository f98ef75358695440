import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { ExchangeResponseSchema } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { JsonValue, StoredResult } from "../../src/job/job.ts";
import { maxJsonDepth, pathAt, scanJson } from "../../src/job/json-scan.ts";
import { fromResult } from "../../src/rpc/convert/result.ts";

function depthByWalking(value: JsonValue): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthByWalking));
}

function valuesByWalking(value: JsonValue): number {
  if (typeof value !== "object" || value === null) return 1;
  const names = Array.isArray(value) ? 0 : Object.keys(value).length;
  return Object.values(value).reduce<number>((sum, each) => sum + valuesByWalking(each), 1 + names);
}

test("depth and number of values read from a text are those of the value, whatever its strings hold", () => {
  const values = fc.jsonValue({
    maxDepth: 6,
    stringUnit: fc.constantFrom("[", "]", "{", "}", ":", ",", "1", "t", '"', "\\", "a", "\u2028"),
  });
  const indents = fc.constantFrom("", " ", "\t");
  fc.assert(
    fc.property(values, indents, (value, indent) => {
      const facts = scanJson(JSON.stringify(value, null, indent));
      assert.deepEqual(
        [facts.depth, facts.values],
        [depthByWalking(value as JsonValue), valuesByWalking(value as JsonValue)],
      );
    }),
  );
});

test("the path of a place in a text leads to the value that stands there", () => {
  const text = '{"a": {"b\\"]": [1, {"x": 2}, [3, "]", {"c": 4}]], "d": 5}, "e": [[], {}, 6]}';
  const paths = ["1", "2", "3", "4", "5", "6"].map((number) => pathAt(text, text.indexOf(number)));
  assert.deepEqual(paths, ['a.b"][0]', 'a.b"][1].x', 'a.b"][2][0]', 'a.b"][2][2].c', "a.d", "e[2]"]);
  assert.equal(pathAt("7", 0), "");
});

test("the first list or object that is too deep is found", () => {
  const text = '{"a":[[1],[[2]]]}';
  assert.equal(scanJson(text, { maxDepth: 4 }).tooDeepAt, -1);
  assert.equal(scanJson(text, { maxDepth: 3 }).tooDeepAt, text.indexOf("[2"));
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
