import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  attemptSpanId,
  childSpanId,
  isSampled,
  jobSpanId,
  storedTrace,
  traceOf,
  traceparentOf,
} from "../../src/job/trace.ts";

const id = "019ad0c3-5f6a-7c4e-9d1b-2f3a4b5c6d7e";
const traceparent = `00-${"b".repeat(32)}-${"c".repeat(16)}-01`;

describe("what is stored of a trace", () => {
  test("is read back as it was", () => {
    const context = { traceparent, tracestate: "vendor=1", baggage: "user=ada" };
    const { traceId, parentId, ...rest } = traceOf({ id, trace: storedTrace(context, 1_790_000_000_000.125) });
    assert.deepEqual([traceId, parentId], ["b".repeat(32), "c".repeat(16)]);
    assert.deepEqual(rest, {
      isSampled: true,
      tracestate: "vendor=1",
      baggage: "user=ada",
      acceptedAt: 1_790_000_000_000.125,
    });
  });

  test("is the traceparent alone when there is nothing else", () => {
    assert.equal(storedTrace({ traceparent }, null), traceparent);
  });

  test("of a job without a context is a trace of its own, unsampled", () => {
    const own = traceOf({ id, trace: null });
    assert.deepEqual(own, { traceId: id.replaceAll("-", ""), parentId: null, isSampled: false, acceptedAt: null });
  });

  test("says sampled by the lowest bit of its flags only", () => {
    const flagged = (flags: string) => isSampled(storedTrace({ traceparent: traceparent.slice(0, -2) + flags }, 1));
    assert.deepEqual(["00", "01", "02", "03", "0a", "ff"].map(flagged), [false, true, false, true, false, true]);
    assert.equal(isSampled(null), false);
  });
});

describe("the ids of a job's spans", () => {
  test("are the same each time, 16 hex digits, and not those of another job, attempt or child", () => {
    const ids = new Set<string>();
    for (let job = 0; job < 200; job += 1) {
      const jobId = id.slice(0, -4) + job.toString(16).padStart(4, "0");
      ids.add(jobSpanId(jobId));
      for (let fence = 1; fence <= 20; fence += 1) {
        const attempt = attemptSpanId(jobId, fence);
        for (const each of [attempt, childSpanId(attempt, 0), childSpanId(attempt, 1)]) ids.add(each);
      }
    }
    assert.equal(ids.size, 200 * (1 + 20 * 3));
    for (const each of ids) assert.match(each, /^[0-9a-f]{16}$/);
    assert.equal(jobSpanId(id), jobSpanId(id));
  });

  test("are never zero, whatever id a client chooses", () => {
    for (const uuid of ["00000000-0000-7000-8000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]) {
      assert.notEqual(jobSpanId(uuid), "0".repeat(16));
    }
  });

  test("make a traceparent", () => {
    assert.equal(traceparentOf("b".repeat(32), "c".repeat(16), true), traceparent);
  });
});
