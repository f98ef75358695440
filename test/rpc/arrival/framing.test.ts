import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createEnvelopes, createWholeBody, smallBytes } from "../../../src/rpc/arrival/framing.ts";

const messageBytes = 1_000;
const headBytes = 5;

function envelope(length: number, isCompressed = false): Buffer {
  const bytes = Buffer.alloc(headBytes + length);
  bytes.writeUInt8(isCompressed ? 1 : 0, 0);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

describe("envelopes", () => {
  test("are found wherever their bytes are cut into pieces", () => {
    const message = fc.record({ length: fc.integer({ min: 0, max: messageBytes }), isCompressed: fc.boolean() });
    const cuts = fc.array(fc.integer({ min: 0, max: 5_000 }), { maxLength: 20 });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 6 }), cuts, (messages, cutAt) => {
        const all = Buffer.concat(messages.map(({ length, isCompressed }) => envelope(length, isCompressed)));
        const edges = [0, ...cutAt.map((at) => at % (all.length + 1)), all.length].sort((a, b) => a - b);
        const framing = createEnvelopes(messageBytes);
        const found = edges.slice(1).flatMap((end, index) => framing.read(all.subarray(edges[index], end)));

        const takes = messages.map(({ length, isCompressed }) => headBytes + (isCompressed ? messageBytes : length));
        assert.deepEqual([found, framing.begun(), framing.isTooLarge()], [takes, 0, false]);
      }),
    );
  });

  test("tell from their head on what they take", () => {
    const framing = createEnvelopes(messageBytes);
    framing.read(envelope(700).subarray(0, 3));
    assert.equal(framing.begun(), 3);
    framing.read(envelope(700).subarray(3, 6));
    assert.equal(framing.begun(), headBytes + 700);
  });

  test("that are larger than a message may be are known by their head", () => {
    const framing = createEnvelopes(messageBytes);
    assert.deepEqual(framing.read(envelope(messageBytes + 1)), []);
    assert.equal(framing.isTooLarge(), true);
  });
});

describe("a whole body", () => {
  for (const [what, length, isCompressed, takes] of [
    ["takes as much as its length says", 300, false, 300],
    ["that is compressed may take all that a message may", 300, true, messageBytes],
  ] as const) {
    test(what, () => {
      const body = createWholeBody({ messageBytes, length, isCompressed });
      assert.equal(body.begun(), 0);
      assert.deepEqual(body.read(Buffer.alloc(10)), []);
      assert.equal(body.begun(), takes);
    });
  }

  test("without a length takes what has come while that is small, and from then on may take all that a message may", () => {
    const body = createWholeBody({ messageBytes: 4 * smallBytes, length: undefined, isCompressed: false });
    body.read(Buffer.alloc(10));
    assert.equal(body.begun(), 10);
    body.read(Buffer.alloc(smallBytes - 10));
    assert.equal(body.begun(), smallBytes);
    body.read(Buffer.alloc(1));
    assert.equal(body.begun(), 4 * smallBytes);
  });

  test("that is longer than it says is known when it is too large", () => {
    const body = createWholeBody({ messageBytes, length: 10, isCompressed: false });
    body.read(Buffer.alloc(messageBytes));
    assert.equal(body.isTooLarge(), false);
    body.read(Buffer.alloc(1));
    assert.equal(body.isTooLarge(), true);
  });
});
