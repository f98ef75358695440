import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, fromBinary, fromJson, type JsonObject, toBinary } from "@bufbuild/protobuf";
import { type GivenInput, readInput } from "../../../src/engine/admit/input.ts";
import { FileDescriptorProtoSchema, ValueSchema } from "@bufbuild/protobuf/wkt";
import { FailInputSchema, SleepInputSchema } from "../../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import { ImageResizeInputSchema } from "../../../src/gen/millpond/tasks/v1/image_pb.ts";
import { PayloadSchema } from "../../../src/gen/millpond/v1/job_pb.ts";
import { SubmitRequestSchema } from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { JsonValue, Payload } from "../../../src/job/job.ts";
import { loaded } from "../../support/samples.ts";

const sleep = loaded("sleep", { input: SleepInputSchema });
const resize = loaded("resize", { input: ImageResizeInputSchema });
const untyped = loaded("echo");

const json = (value: JsonValue): GivenInput => ({ kind: "json", value });
const message = (bytes: Uint8Array, type: string = SleepInputSchema.typeName): GivenInput => ({
  kind: "message",
  type,
  bytes,
});
const sleepBytes = toBinary(SleepInputSchema, create(SleepInputSchema, { durationMs: 40 }));

function payloadOf(task: typeof sleep, given: GivenInput): Payload | null {
  const read = readInput(task, given);
  assert.equal(read.violations, undefined);
  return read.payload ?? null;
}

/** What is refused, as `field: description`. */
function refusals(task: typeof sleep, given: GivenInput): string[] {
  return (readInput(task, given).violations ?? []).map(({ field, description }) => `${field}: ${description}`);
}

describe("a typed task", () => {
  for (const [how, given] of [
    ["its message", message(sleepBytes)],
    ["JSON with the names of JSON", json({ durationMs: 40 })],
    ["JSON with the names of the proto file", json({ duration_ms: 40 })],
  ] as const) {
    test(`takes ${how}, and the message is what is stored`, () => {
      const payload = payloadOf(sleep, given);
      assert.equal(payload?.kind, "message");
      assert.equal(payload.type, "millpond.tasks.v1.SleepInput");
      assert.equal(fromBinary(SleepInputSchema, payload.bytes).durationMs, 40);
    });
  }

  test("keeps fields of a newer version of its message", () => {
    const newer = new Uint8Array([...sleepBytes, 0x50, 0x01]);
    assert.deepEqual(payloadOf(sleep, message(newer))?.bytes, newer);
  });

  for (const [what, given, said] of [
    ["nothing", null, /^input: is missing: the task takes a millpond\.tasks\.v1\.SleepInput$/],
    ["bytes", { kind: "data", bytes: sleepBytes }, /^input\.data: .*SleepInput: send it as message or json$/],
    ["another message", message(sleepBytes, "a.B"), /^input\.message: is a a\.B, the task takes a .*SleepInput$/],
    ["a message without a type", message(sleepBytes, ""), /^input\.message: is a message without a type/],
    ["bytes that are no message", message(new Uint8Array([0xff])), /^input\.message: is not a .*SleepInput: /],
    ["JSON null", json(null), /^input: /],
    ["a JSON list", json([1]), /^input: /],
    ["an unknown field", json({ durationMs: 1, speed: 2 }), /^input\.speed: .*no such field/],
    ["a field of the wrong type", json({ durationMs: "soon" }), /^input\.durationMs: /],
    ["a number out of its range", json({ durationMs: -1 }), /^input\.durationMs: /],
    ["a key that every object has", json({ constructor: 1 }), /^input\.constructor: .*no such field/],
    ["JSON that is none", { kind: "unreadable", why: "cannot be NaN" }, /^input\.json: cannot be NaN$/],
  ] as const) {
    test(`refuses ${what}, and says where`, () => {
      const [only = "", ...others] = refusals(sleep, given);
      assert.match(only, said);
      assert.deepEqual(others, []);
    });
  }

  test("refuses a key `__proto__` like any other it does not know", () => {
    const [only = ""] = refusals(sleep, json(JSON.parse(`{"__proto__": {"durationMs": 5}}`)));
    assert.match(only, /^input\.__proto__: /);
  });

  test("refuses a very long key without repeating all of it", () => {
    const [only = ""] = refusals(sleep, json({ ["k".repeat(100_000)]: 1 }));
    assert.match(only, /^input\.k{200}: .*no such field$/);
  });

  test("refuses what does not fit a struct inside a message in words that make sense", () => {
    const [only = ""] = refusals(loaded("fail", { input: FailInputSchema }), json({ details: "text" }));
    assert.equal(only, `input.details: cannot be "text"`);
  });

  test("refuses a name that is none of an enum's", () => {
    const [only = ""] = refusals(resize, json({ format: "IMAGE_FORMAT_BMP" }));
    assert.match(only, /^input\.format: .*IMAGE_FORMAT_PNG/);
  });
});

describe("a task without a type", () => {
  test("takes JSON, and the text is what is stored", () => {
    const payload = payloadOf(untyped, json({ a: [1, "ü", null] }));
    assert.equal(payload?.kind, "json");
    assert.equal(new TextDecoder().decode(payload.bytes), `{"a":[1,"ü",null]}`);
  });

  test("stores the same message as the same bytes, whatever the order of the entries of its maps", () => {
    const submit = loaded("submit", { input: SubmitRequestSchema });
    const bytesOf = (labels: Record<string, string>, details: JsonObject) => {
      const input = create(PayloadSchema, { content: { case: "json", value: fromJson(ValueSchema, details) } });
      const request = create(SubmitRequestSchema, { jobs: [{ task: "echo", labels, input }] });
      return toBinary(SubmitRequestSchema, request);
    };
    const one = bytesOf({ a: "1", b: "2" }, { c: 3, d: [{ e: 5, f: 6 }] });
    const other = bytesOf({ b: "2", a: "1" }, { d: [{ f: 6, e: 5 }], c: 3 });
    assert.notDeepEqual(one, other);
    const stored = [one, other].map((bytes) => payloadOf(submit, message(bytes, SubmitRequestSchema.typeName))?.bytes);
    assert.deepEqual(stored[0], stored[1]);
    assert.deepEqual(stored[0], one);

    const refuse = loaded("refuse", { input: FailInputSchema });
    const [a, b] = [{ details: { x: { p: 1, q: 2 }, y: 1 } }, { details: { y: 1, x: { q: 2, p: 1 } } }].map(
      (value) => payloadOf(refuse, json(value))?.bytes,
    );
    assert.deepEqual(a, b);
  });

  test("stores the same JSON as the same bytes, whatever the order of its keys, and leaves lists as they are", () => {
    const text = (value: JsonValue) => new TextDecoder().decode(payloadOf(untyped, json(value))?.bytes);
    const ordered = `{"a":{"c":null,"d":[2,1,{"e":1,"f":2}]},"b":true}`;
    assert.equal(text({ b: true, a: { d: [2, 1, { f: 2, e: 1 }], c: null } }), ordered);
    assert.equal(text(JSON.parse(ordered)), ordered);
    assert.equal(text(["b", "a", 3, null]), `["b","a",3,null]`);
    assert.equal(text("b"), `"b"`);
  });

  test("takes a key `__proto__` as data, and gives it on", () => {
    const text = `{"__proto__":{"isAdmin":true}}`;
    const payload = payloadOf(untyped, json(JSON.parse(text)));
    assert.equal(new TextDecoder().decode(payload?.bytes), text);
  });

  test("takes bytes as they are", () => {
    const request = new Uint8Array(1000).fill(1);
    const payload = payloadOf(untyped, { kind: "data", bytes: request.subarray(10, 13) });
    assert.deepEqual(payload?.bytes, new Uint8Array([1, 1, 1]));
  });

  test("takes nothing, which is not the same as null", () => {
    assert.equal(payloadOf(untyped, null), null);
    assert.equal(payloadOf(untyped, json(null))?.kind, "json");
  });

  test("refuses a message, whose type it could not read", () => {
    assert.match(refusals(untyped, message(sleepBytes))[0] ?? "", /^input\.message: task "echo" declares no type/);
  });
});

test("a struct inside a message may hold any JSON, and what is stored is the message", () => {
  const payload = payloadOf(loaded("fail", { input: FailInputSchema }), json({ details: { "a b": [1, { c: null }] } }));
  assert.deepEqual(fromBinary(FailInputSchema, payload?.bytes as Uint8Array).details, { "a b": [1, { c: null }] });
});

test("what is wrong deep in a large input is looked for a few levels down, and in a small one all the way", () => {
  const files = loaded("files", { input: FileDescriptorProtoSchema });
  const message = (levels: number, fields: number): JsonValue => {
    if (levels === 0) return { name: 5 };
    const field = Array.from({ length: fields }, () => ({ name: "f" }));
    return { name: "m", field, nestedType: [message(levels - 1, fields)] };
  };
  const pathOf = (fields: number) => refusals(files, json({ messageType: [message(12, fields)] }))[0];
  assert.match(pathOf(1) ?? "", /^input\.messageType\[0\](?:\.nestedType\[0\]){12}\.name: expected string, got 5$/);
  assert.match(pathOf(600) ?? "", /^input\.messageType\[0\](?:\.nestedType\[0\]){1,3}: expected string, got 5$/);
});
