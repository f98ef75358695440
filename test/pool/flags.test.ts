import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { maxChunk } from "../../src/pool/chunk.ts";
import {
  begin,
  clear,
  createFlags,
  currentOf,
  end,
  flagsOf,
  leave,
  noJob,
  standingOf,
  stopReasonOf,
  take,
  setStopReason,
  threadOf,
  withdraw,
} from "../../src/pool/flags.ts";

function newFlags() {
  const flags = flagsOf(createFlags(), 0);
  clear(flags, maxChunk);
  return flags;
}

describe("the flags of a job", () => {
  test("go from waiting to running to ended, and say which job runs since when", () => {
    const flags = newFlags();
    take(flags, 7);
    assert.deepEqual([threadOf(flags), currentOf(flags), standingOf(flags, 3)], [7, noJob, "waiting"]);
    assert.equal(begin(flags, 3, 1_790_000_000_000.5), true);
    assert.deepEqual([currentOf(flags), standingOf(flags, 3), flags.startedAt[0]], [3, "running", 1_790_000_000_000.5]);
    assert.equal(end(flags, 3), undefined);
    leave(flags);
    assert.deepEqual([currentOf(flags), standingOf(flags, 3)], [noJob, "ended"]);
  });

  test("a job that was withdrawn does not begin, and one that began is not withdrawn", () => {
    const flags = newFlags();
    assert.equal(withdraw(flags, 0, "released"), true);
    assert.equal(begin(flags, 0, 1), false);
    assert.equal(withdraw(flags, 0, "cancelled"), false);
    assert.deepEqual([standingOf(flags, 0), stopReasonOf(flags, 0)], ["withdrawn", "released"]);
    begin(flags, 1, 1);
    assert.equal(withdraw(flags, 1, "released"), false);
    assert.equal(standingOf(flags, 1), "running");
  });

  test("only a job that runs is asked to stop, and its first reason stays", () => {
    const flags = newFlags();
    assert.equal(setStopReason(flags, 0, "cancelled"), false);
    begin(flags, 0, 1);
    assert.equal(setStopReason(flags, 0, "timed_out"), true);
    assert.equal(setStopReason(flags, 0, "cancelled"), true);
    assert.equal(end(flags, 0), "timed_out");
    assert.equal(setStopReason(flags, 0, "cancelled"), false);
    assert.equal(stopReasonOf(flags, 0), undefined);
  });

  test("a new chunk in the slot starts with clean flags, and other slots are not touched", () => {
    const shared = createFlags();
    const slots = [0, 1, 2].map((slot) => flagsOf(shared, slot));
    for (const flags of slots) {
      clear(flags, maxChunk);
      take(flags, 9);
      begin(flags, maxChunk - 1, 5);
      setStopReason(flags, maxChunk - 1, "expired");
    }
    clear(slots[1] as (typeof slots)[number], maxChunk);
    assert.deepEqual(
      slots.map((flags) => [threadOf(flags), standingOf(flags, maxChunk - 1), stopReasonOf(flags, maxChunk - 1)]),
      [
        [9, "running", "expired"],
        [0, "waiting", undefined],
        [9, "running", "expired"],
      ],
    );
  });
});
