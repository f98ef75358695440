import assert from "node:assert/strict";
import { test } from "node:test";
import { createWaitingLeases } from "../../../src/engine/dispatch/waiting-leases.ts";
import { newLease } from "../../support/samples.ts";

test("a lease that is put back ends when its own last renewal says, whatever was leased meanwhile", () => {
  const waiting = createWaitingLeases(() => undefined);
  const [first, second] = [newLease(), newLease()];
  waiting.add([first], 30_000);
  assert.deepEqual(waiting.take(1), [first]);
  waiting.renewed(50_000);
  waiting.add([second], 55_000);
  assert.deepEqual(waiting.take(1), [second]);
  waiting.putBack([first]);
  assert.equal(waiting.endsMs(), 50_000);
});

test("the bytes of their records are counted", () => {
  const waiting = createWaitingLeases(() => undefined);
  const [first, second] = [newLease(), newLease()];
  waiting.add([first, second], 30_000);
  assert.equal(waiting.bytes(), first.record.length + second.record.length);
  waiting.take(1);
  assert.equal(waiting.bytes(), second.record.length);
  waiting.putBack([first]);
  waiting.remove(second);
  assert.equal(waiting.bytes(), first.record.length);
});
