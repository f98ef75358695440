import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type DescMessage, fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import { FailInputSchema, SleepInputSchema, SleepOutputSchema } from "../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import { ImageResizeInputSchema } from "../../src/gen/millpond/tasks/v1/image_pb.ts";
import { ResultSchema } from "../../src/gen/millpond/v1/job_pb.ts";
import type { JsonValue } from "../../src/job/job.ts";
import { createTypeReader, describeTypes } from "../../src/pool/tasks/types.ts";

const inputOf = (input: DescMessage) => {
  const read = createTypeReader()(describeTypes({ input, output: undefined }));
  assert.equal(read.output, undefined);
  return read.input as DescMessage;
};

suite("types that came as descriptors", () => {
  const rows: readonly (readonly [DescMessage, JsonValue])[] = [
    [SleepInputSchema, { durationMs: 40 }],
    [FailInputSchema, { details: { "a b": [1, { c: null }] }, retryAfter: "1.500s" }],
    [ImageResizeInputSchema, { bytes: "AQID", width: 3, fit: "FIT_COVER" }],
    [
      ResultSchema,
      { jobId: "x", output: { json: { a: [1] } }, history: [{ number: 1, startedAt: "2026-01-02T03:04:05Z" }] },
    ],
  ];
  for (const [schema, json] of rows) {
    test(`${schema.typeName} reads JSON and writes bytes as the generated type does`, () => {
      const type = inputOf(schema);
      assert.equal(type.typeName, schema.typeName);
      const options = { ignoreUnknownFields: true };
      const bytes = toBinary(type, fromJson(type, json, options));
      assert.deepEqual(bytes, toBinary(schema, fromJson(schema, json, options)));
      assert.deepEqual(toJson(type, fromBinary(type, bytes)), toJson(schema, fromBinary(schema, bytes)));
    });
  }

  test("are made once for all tasks with the same files, and not at all where there are none", () => {
    const read = createTypeReader();
    const described = describeTypes({ input: SleepInputSchema, output: SleepOutputSchema });
    assert.equal(read(described).input, read(structuredClone(described)).input);
    assert.equal(read(described).output?.typeName, SleepOutputSchema.typeName);
    assert.deepEqual(read(describeTypes({ input: undefined, output: undefined })), {
      input: undefined,
      output: undefined,
    });
  });
});
