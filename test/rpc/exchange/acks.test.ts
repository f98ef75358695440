import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createUnacked } from "../../../src/rpc/exchange/acks.ts";

test("room is what may be sent and is not", () => {
  const unacked = createUnacked(10, 3);
  assert.equal(unacked.room(10), 3);
  assert.equal(unacked.room(12), 1);
  assert.equal(unacked.room(13), 0);
  unacked.acknowledged(11);
  assert.equal(unacked.room(13), 1);
});

test("acknowledging what was not sent yet gives no more room than there is, and none is lost by it", () => {
  const unacked = createUnacked(0, 2);
  unacked.acknowledged(5);
  assert.equal(unacked.room(1), 2);
  assert.equal(unacked.room(6), 1);
});

test("whatever is acknowledged in whichever order, room is never above the bound and never shrinks by it", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(100)), fc.nat(100), fc.integer({ min: 1, max: 10 }), (cursors, sent, max) => {
      const unacked = createUnacked(0, max);
      let before = unacked.room(sent);
      for (const cursor of cursors) {
        unacked.acknowledged(cursor);
        assert.ok(unacked.room(sent) >= before && unacked.room(sent) <= max);
        before = unacked.room(sent);
      }
      assert.equal(before, max - Math.max(0, sent - Math.max(0, ...cursors)));
    }),
  );
});

test("a wait for room ends when something is acknowledged", async () => {
  const unacked = createUnacked(0, 1);
  const came = unacked.roomCame();
  unacked.acknowledged(1);
  await came;
});
