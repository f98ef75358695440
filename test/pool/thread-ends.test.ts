import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { begin, take } from "../../src/pool/flags.ts";
import { createOutcomes } from "../../src/pool/outcomes.ts";
import { createPulse, enterCode, leaveCode } from "../../src/pool/pulse.ts";
import { createPoolSize } from "../../src/pool/size.ts";
import { createSlots } from "../../src/pool/slots.ts";
import { createThreadEnds } from "../../src/pool/thread-ends.ts";
import { keptLog, newLease } from "../support/samples.ts";

const outOfMemory = { code: "ERR_WORKER_OUT_OF_MEMORY" };

/** What becomes of so many jobs of one thread that runs out of memory; `in`: whose code it was in for certain. */
function afterDeath(jobs: number, culprit?: number) {
  const { log, lines } = keptLog();
  const slots = createSlots({ size: createPoolSize({ min: 1, max: 1 }), concurrency: jobs });
  const pulse = createPulse();
  const all = Array.from({ length: jobs }, () => {
    const slot = slots.take([newLease()], { onEnded() {} }, 0) ?? assert.fail();
    slot.thread = 1;
    take(slot.flags, 1);
    enterCode(pulse, slot.leases[0] ?? assert.fail());
    begin(slot.flags, 0, 0);
    leaveCode(pulse);
    return slot;
  });
  if (culprit !== undefined) enterCode(pulse, all[culprit]?.leases[0] ?? assert.fail());
  const ends = createThreadEnds({
    ...{
      pool: "tried",
      slots,
      log,
      stalls: { pulseOf: () => pulse, isStalled: () => false },
      terminations: { watch() {} },
    },
    ...{ threadWith: () => undefined, isStopping: () => false, onUnfit() {} },
  });
  const outcomes = createOutcomes({
    ...{ timeoutOf: () => 1_000, onProgress() {}, handBacks: { add: () => 1 }, maxHandBacks: 5 },
    isStopping: () => false,
  });
  const reasons = all.flatMap((slot) => {
    ends.onDeath(slot, outOfMemory);
    slots.release(slot);
    return outcomes
      .ofDeath(slot, outOfMemory, 1)
      .map(({ outcome }) => (outcome.kind === "failed" ? outcome.failure.reason : outcome.kind));
  });
  return { reasons, texts: lines.map(({ text }) => text) };
}

suite("a thread that runs out of memory", () => {
  test("has failed the job that it ran alone", () => {
    assert.deepEqual(afterDeath(1), { reasons: ["out_of_memory"], texts: ["a worker died"] });
  });

  test("has failed the job whose code it was in, and what ran beside it is handed back", () => {
    const { reasons, texts } = afterDeath(3, 1);
    assert.deepEqual([reasons, texts], [["released", "out_of_memory", "released"], ["a worker died"]]);
  });

  test("has failed none of several jobs where it is not known in whose code it was", () => {
    const { reasons, texts } = afterDeath(3);
    assert.deepEqual(reasons, ["released", "released", "released"]);
    assert.deepEqual(texts, ["a worker died, and it is not known by which of its jobs: they return to the queue"]);
  });
});
