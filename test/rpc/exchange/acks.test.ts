import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createAcks, createUnacked } from "../../../src/rpc/exchange/acks.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";

function tryAcks(max = 1_000) {
  const clock = createFakeClock(0);
  const written: number[] = [];
  const unacked = createUnacked(0, max);
  const store = {
    async ack([request]: readonly { readonly cursor: number }[]) {
      written.push(request!.cursor);
      return [{ kind: "acknowledged", cursor: request!.cursor }] as const;
    },
  };
  const parts = { store, clock, readers: { acknowledged() {} } as never };
  return { clock, written, unacked, acks: createAcks(parts, { client: "ada", channel: "default" }, unacked) };
}

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

test("the first acknowledgement is written at once, those of the next 10 ms together", async () => {
  const { acks, clock, written, unacked } = tryAcks();
  await acks.ack(1);
  assert.deepEqual(written, [1]);
  const all = [acks.ack(2), acks.ack(4), acks.ack(3)];
  clock.advance(9);
  await turn();
  assert.deepEqual(written, [1]);
  assert.ok(acks.isUnderWay());
  clock.advance(1);
  await Promise.all(all);
  assert.deepEqual(written, [1, 4]);
  assert.ok(!acks.isUnderWay());
  assert.equal(unacked.room(4), 1_000);
});

test("an acknowledgement that is waited for is written at once, whichever came first", async () => {
  const { acks, written } = tryAcks();
  await acks.ack(1);
  acks.hurry();
  await acks.ack(2);
  const last = acks.ack(3);
  await turn();
  assert.deepEqual(written, [1, 2]);
  acks.hurry();
  await last;
  assert.deepEqual(written, [1, 2, 3]);
});
