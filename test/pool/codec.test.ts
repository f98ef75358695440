import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, toBinary } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { encodeOutput } from "../../src/pool/codec.ts";
import { TaskError } from "../../src/pool/task.ts";

test("the size of JSON that is too large is its size in a message", () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: "grapheme" }), (output) => {
      const message = fromJson(ValueSchema, output as never);
      assert.throws(
        () => encodeOutput({}, output, { maxBytes: 0, maxValues: Number.POSITIVE_INFINITY }),
        (error) => error instanceof TaskError && error.details?.["size"] === toBinary(ValueSchema, message).length,
      );
    }),
  );
});
