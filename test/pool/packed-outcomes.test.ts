import assert from "node:assert/strict";
import { test } from "node:test";
import type { Payload } from "../../src/job/job.ts";
import type { ChunkOutcomes } from "../../src/pool/chunk.ts";
import { packOutcomes, unpackOutcomes } from "../../src/pool/packed-outcomes.ts";

const output = (kind: Payload["kind"], type: string, text: string): Payload => ({
  ...{ kind, type },
  bytes: new TextEncoder().encode(text),
});
const failure = { reason: "task_failed", message: "out of luck", retryable: true };
const span = { id: "0000000000000001", parent: "0000000000000000", name: "work", startedAt: 1, endedAt: 2 };
const spans = { records: [{ ...span, attributes: {} }], dropped: 3 };

const outcomes: ChunkOutcomes = [
  [1_795_000_000_000.25, 0.5, output("json", "", '"one"'), null, undefined, undefined],
  null,
  [2, 0, null, null, undefined, undefined],
  [3, 1e9, null, failure, { fraction: 0.5, note: "half" }, undefined],
  [4, 1, output("data", "", ""), null, undefined, undefined],
  [5, 1, output("message", "acme.Thumb", "two"), null, { fraction: 1, note: "" }, spans as never],
  [6, 1, output("message", "acme.Other", "three"), null, undefined, undefined],
  [7, 1, output("message", "acme.Thumb", "four"), null, undefined, undefined],
  [8, 1, null, "cancelled", undefined, undefined],
  null,
];

test("outcomes are unpacked as they were packed, after they were cloned as messages are", () => {
  assert.deepEqual(unpackOutcomes(structuredClone(packOutcomes(outcomes, 0)), 0), outcomes);
  assert.deepEqual(unpackOutcomes(packOutcomes([], 0), 0), []);
});

test("those in front can be left out, where they are packed and where they are unpacked", () => {
  for (let from = 0; from <= outcomes.length; from += 1) {
    const packed = packOutcomes(outcomes, from);
    for (let known = 0; known <= outcomes.length - from; known += 1) {
      assert.deepEqual(unpackOutcomes(packed, known), outcomes.slice(from + known));
    }
  }
});

test("the outputs of a chunk are views of one buffer", () => {
  const packed = packOutcomes(outcomes, 0);
  const found = unpackOutcomes(packed, 0).flatMap((outcome) => outcome?.[2] ?? []);
  assert.ok(found.every(({ bytes }) => bytes.buffer === packed.buffer));
});
