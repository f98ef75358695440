import assert from "node:assert/strict";
import { test } from "node:test";
import { begin, end, take, tellToStop } from "../../src/pool/flags.ts";
import { createOutcomes } from "../../src/pool/outcomes.ts";
import { createPoolSize } from "../../src/pool/size.ts";
import { createSlots } from "../../src/pool/slots.ts";
import { newLease } from "../support/samples.ts";

/** What becomes of a job that was told to give up, did so, and whose thread died before it could say how it ended. */
function afterDeath({ isStopping }: { readonly isStopping: boolean }): readonly string[] {
  const slot = createSlots({ size: createPoolSize({ min: 1, max: 1 }), concurrency: 1 }).take(
    [newLease()],
    { onEnded() {} },
    0,
  );
  assert.ok(slot);
  take(slot.flags, 1);
  begin(slot.flags, 0, 0);
  tellToStop(slot.flags, 0, "released");
  end(slot.flags, 0);
  const outcomes = createOutcomes({
    ...{
      timeoutOf: () => 1_000,
      onProgress() {},
      handBacks: { add: () => 1 },
      maxHandBacks: 5,
    },
    isStopping: () => isStopping,
  });
  return outcomes.ofDeath(slot, new Error("Terminating worker thread"), 1).map(({ outcome }) => outcome.kind);
}

test("a job that stopped as its pool ended costs no attempt, also when its thread ends before it can say so", () => {
  assert.deepEqual(afterDeath({ isStopping: true }), ["released"]);
});

test("a job that ended in a thread which died by itself is lost: nobody knows what killed it", () => {
  assert.deepEqual(afterDeath({ isStopping: false }), ["lost"]);
});
