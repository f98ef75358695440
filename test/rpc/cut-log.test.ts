import assert from "node:assert/strict";
import { test } from "node:test";
import { createCutLog } from "../../src/rpc/cut-log.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { keptLog } from "../support/samples.ts";

test("the first cut is logged at once, and those that follow are counted in one line each ten seconds", () => {
  const clock = createFakeClock();
  const lines: unknown[] = [];
  const warn = ({ count }: { readonly count?: unknown }, line: string) => void lines.push([line, count]);
  const cuts = createCutLog(clock, { ...keptLog().log, warn });
  for (let count = 0; count < 1_000; count += 1) cuts.add("requests were cut");
  cuts.add("connections were closed");
  assert.deepEqual(lines.splice(0), [
    ["requests were cut", 1],
    ["connections were closed", 1],
  ]);
  clock.advance(10_000);
  assert.deepEqual(lines.splice(0), [["requests were cut", 999]]);
  clock.advance(60_000);
  assert.deepEqual([lines, clock.timers()], [[], 0]);
});
