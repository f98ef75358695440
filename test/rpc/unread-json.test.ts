import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, fromBinary, fromJson, mergeFromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { type JobSpec, JobSpecSchema, PayloadSchema } from "../../src/gen/millpond/v1/job_pb.ts";
import { RunRequestSchema, SubmitRequestSchema } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { JsonValue } from "../../src/job/job.ts";
import { json } from "./jobs.ts";
import { unreadJson, withUnreadJson } from "../../src/rpc/unread-json.ts";

const payload = withUnreadJson(PayloadSchema);

/** What is read of a payload with these bytes in its field `json`, one after the other. */
function read(...values: readonly Uint8Array[]): JsonValue | undefined {
  const writer = new BinaryWriter();
  for (const bytes of values) writer.tag(PayloadSchema.field.json.number, WireType.LengthDelimited).bytes(bytes);
  return unreadJson(fromBinary(payload, writer.finish()));
}

const encode = (value: JsonValue) => toBinary(ValueSchema, fromJson(ValueSchema, value));
const wire = (init: Partial<Value>) =>
  toBinary(ValueSchema, { $typeName: ValueSchema.typeName, kind: { case: undefined }, ...init });

describe("JSON that was not read is", () => {
  test("what protobuf-es would have read", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8, stringUnit: "grapheme" }), (value) => {
        const bytes = encode(value as JsonValue);
        assert.deepEqual(read(bytes), toJson(ValueSchema, fromBinary(ValueSchema, bytes)));
      }),
    );
  });

  test("nothing when there is none", () => {
    assert.equal(read(), undefined);
    assert.equal(unreadJson({ $typeName: payload.typeName }), undefined);
  });

  test("merged when it comes in parts, as every message is", () => {
    for (const [first, second] of [
      [
        { a: 1, b: [1] },
        { b: [2], c: 3 },
      ],
      [[1, 2], [3]],
      [{ a: 1 }, [2]],
      [{ a: 1 }, "text"],
      [1, { a: 1 }],
    ] as const) {
      const whole = fromBinary(ValueSchema, encode(first as JsonValue));
      mergeFromBinary(ValueSchema, whole, encode(second as JsonValue));
      assert.deepEqual(read(encode(first as JsonValue), encode(second as JsonValue)), toJson(ValueSchema, whole));
    }
  });

  test("data only, whatever its names", () => {
    const value = JSON.parse('{"__proto__": {"isAdmin": true}, "constructor": 1}') as JsonValue;
    const found = read(encode(value));
    assert.equal(JSON.stringify(found), JSON.stringify(value));
    assert.equal(Object.getPrototypeOf(found), Object.prototype);
  });
});

describe("JSON that was not read is refused", () => {
  for (const [what, bytes, said] of [
    [
      "with a number that JSON does not have",
      wire({ kind: { case: "numberValue", value: Number.NaN } }),
      /^JSON has no number NaN/,
    ],
    ["without a kind", new Uint8Array(), /has no kind/],
    [
      "with a member without a value",
      new Uint8Array([0x2a, 0x05, 0x0a, 0x03, 0x0a, 0x01, 0x61]),
      /member "a" of an object has no value/,
    ],
    ["when it is cut off", new Uint8Array([0x2a, 0x7f]), /premature EOF|RangeError|EOF/],
    ["with text that is not UTF-8", new Uint8Array([0x1a, 0x01, 0xff]), /./],
  ] as const) {
    test(what, () => {
      assert.throws(
        () => read(bytes),
        (error: Error) => said.test(error.message),
      );
    });
  }
});

test("JSON nested without end overflows no stack, and stays too deep to be taken", () => {
  let bytes = new Uint8Array();
  for (let level = 0; level < 20_000; level += 1) {
    bytes = new Uint8Array(
      new BinaryWriter()
        .tag(level % 2 ? 6 : 1, WireType.LengthDelimited)
        .bytes(bytes)
        .finish(),
    );
  }
  let levels = 0;
  for (let value = read(bytes); Array.isArray(value); value = value[0]) levels += 1;
  assert.equal(levels, 32);
});

test("all else of a request is read as ever, in every message that has a payload", () => {
  const jobs = [{ task: "a", labels: { x: "y" }, retry: { factor: 2 }, input: json([1]) }, { task: "b" }];
  const submit = withUnreadJson(SubmitRequestSchema);
  const bytes = toBinary(SubmitRequestSchema, create(SubmitRequestSchema, { jobs }));
  const message = fromBinary(submit, bytes) as unknown as { readonly jobs: JobSpec[] };
  assert.deepEqual(
    message.jobs.map(({ task }) => task),
    ["a", "b"],
  );
  const [first] = message.jobs;
  assert.ok(first?.input);
  assert.deepEqual([first.input.content.case, unreadJson(first.input)], [undefined, [1]]);
  assert.deepEqual(toBinary(submit, message as never), bytes);
  assert.equal(withUnreadJson(JobSpecSchema).typeName, JobSpecSchema.typeName);
  assert.notEqual(withUnreadJson(RunRequestSchema), RunRequestSchema);
});
