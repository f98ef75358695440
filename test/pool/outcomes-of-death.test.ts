import assert from "node:assert/strict";
import { test } from "node:test";
import { begin, end, take, setStopReason } from "../../src/pool/flags.ts";
import { createOutcomes } from "../../src/pool/outcomes.ts";
import { createPoolSize } from "../../src/pool/size.ts";
import { createSlots, type Slot } from "../../src/pool/slots.ts";
import { newLease } from "../support/samples.ts";

const outcomesOf = (isStopping: boolean) =>
  createOutcomes({
    ...{ timeoutOf: () => 1_000, onProgress() {}, handBacks: { add: () => 1 }, maxHandBacks: 5 },
    isStopping: () => isStopping,
  });

/** The slot of a chunk in a thread. */
function slotOf(jobs: number): Slot {
  const slots = createSlots({ size: createPoolSize({ min: 1, max: 1 }), concurrency: 1 });
  const leases = Array.from({ length: jobs }, () => newLease());
  const slot = slots.take(leases, { onEnded() {} }, 0) ?? assert.fail();
  take(slot.flags, 1);
  return slot;
}

/** What becomes of a job that was told to give up, did so, and whose thread died before it could say how it ended. */
function afterDeath({ isStopping }: { readonly isStopping: boolean }): readonly string[] {
  const slot = slotOf(1);
  begin(slot.flags, 0, 0);
  setStopReason(slot.flags, 0, "released");
  end(slot.flags, 0);
  return outcomesOf(isStopping)
    .ofDeath(slot, new Error("Terminating worker thread"), 1)
    .map(({ outcome }) => outcome.kind);
}

test("a job that stopped as its pool ended costs no attempt, also when its thread ends before it can say so", () => {
  assert.deepEqual(afterDeath({ isStopping: true }), ["released"]);
});

test("a job that ended in a thread which died by itself is lost: nobody knows what killed it", () => {
  assert.deepEqual(afterDeath({ isStopping: false }), ["lost"]);
});

test("a job that is released because its thread ends is not begun by that thread any more", () => {
  const slot = slotOf(2);
  begin(slot.flags, 0, 0);
  const kinds = outcomesOf(false)
    .ofDeath(slot, new Error("Terminating worker thread"), 1)
    .map(({ outcome }) => outcome.kind);
  assert.deepEqual([kinds, begin(slot.flags, 1, 0)], [["failed", "released"], false]);
});
