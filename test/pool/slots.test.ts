import assert from "node:assert/strict";
import { test } from "node:test";
import { mostWorkersAt } from "../../src/config/rules.ts";
import { createPoolSize } from "../../src/pool/size.ts";
import { createSlots } from "../../src/pool/slots.ts";
import { newLease } from "../support/samples.ts";

test("the largest pool that may be configured has a slot for each job at once, and as many while all its threads end", () => {
  const leases = [newLease()];
  for (const concurrency of [32, 1024]) {
    const workers = mostWorkersAt(concurrency);
    const slots = createSlots({ size: createPoolSize({ min: 0, max: workers }), concurrency });
    const takeAll = () => {
      while (slots.take(leases, { onEnded() {} }, 0) !== undefined);
      return slots.busy.size;
    };
    assert.equal(takeAll(), workers * concurrency);
    for (const slot of slots.busy) {
      slots.quarantine(slot);
      slots.release(slot);
    }
    assert.deepEqual([takeAll(), slots.free()], [workers * concurrency, 0]);
  }
});

test("a slot whose chunk has ended still names its jobs, and keeps none of their large records in memory", () => {
  const slots = createSlots({ size: createPoolSize({ min: 0, max: 1 }), concurrency: 1 });
  const lease = { ...newLease(), record: new Uint8Array(2 ** 20).subarray(0, 10) };
  const slot = slots.take([lease], { onEnded() {} }, 0)!;
  assert.equal(slot.leases[0], lease);
  slots.release(slot);
  const kept = slots.leaseOf(lease);
  assert.deepEqual(kept, { ...lease, record: new Uint8Array() });
  assert.equal(kept?.record.buffer.byteLength, 0);
  assert.equal(lease.record.length, 10); // a job that was withdrawn runs again
});
