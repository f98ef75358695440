import assert from "node:assert/strict";
import { test } from "node:test";
import { createRegistry } from "@bufbuild/protobuf";
import { MillpondError } from "../../src/errors.ts";
import { SubmitRequestSchema } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { checkJson } from "../../src/rpc/json-request.ts";

/** How a Submit with this body is refused; undefined: it is not. */
function refusalOf(body: unknown): MillpondError | undefined {
  try {
    checkJson(SubmitRequestSchema, JSON.stringify(body), { registry: createRegistry(), ignoreUnknownFields: false });
    return undefined;
  } catch (error) {
    assert.ok(error instanceof MillpondError);
    return error;
  }
}

const fieldsOf = (body: unknown) => refusalOf(body)?.violations.map(({ field }) => field);

test("both names of a field are known, and what a client may put what it likes into is not looked at", () => {
  const input = { json: { taks: 1, jobs: [{ tsk: 2 }] } };
  const labels = { taks: "a label" };
  assert.equal(
    refusalOf({ jobs: [{ task: "echo", idempotencyKey: "a", discard_result: true, input, labels }] }),
    undefined,
  );
  const refused = refusalOf({ jobs: [{ task: 5, input, labels }] });
  assert.deepEqual([refused?.reason, refused?.violations], ["malformed_request", []]);
});

test("a refusal names every unknown field, but bounds their number and length", () => {
  assert.deepEqual(fieldsOf({ a: 1, jobs: [{ b: 2, retry: { c: 3 } }] }), ["a", "jobs[0].b", "jobs[0].retry.c"]);
  const many = refusalOf(
    Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`${index}`.padEnd(5_000, "x"), 1])),
  );
  assert.equal(many?.violations.length, 20);
  assert.ok(many.violations.every(({ field }) => field.length === 100));
  assert.ok((refusalOf({ jobs: "x".repeat(100_000) })?.message.length ?? 0) < 600);
});

test("what is beyond their number is not looked at", () => {
  let looks = 0;
  const counted = new Proxy(SubmitRequestSchema, {
    get(desc, key) {
      if (key === "fields") looks += 1;
      return Reflect.get(desc, key) as unknown;
    },
  });
  const text = JSON.stringify(Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`x${index}`, 1])));
  assert.throws(() => checkJson(counted, text, { ignoreUnknownFields: false }), { reason: "invalid_argument" });
  assert.ok(looks < 1_000, `${looks}`);
});

test("depth is refused and does no harm", () => {
  const nested = (depth: number): string => `${'{"listValue":['.repeat(depth)}${"]}".repeat(depth)}`;
  const text = `{"jobs":[{"input":{"json":${nested(10_000)}}}]}`;
  assert.throws(() => checkJson(SubmitRequestSchema, text, {}), { name: "MillpondError", reason: "malformed_request" });
});
