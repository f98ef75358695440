import assert from "node:assert/strict";
import { test } from "node:test";
import { createReports } from "../../src/pool/progress.ts";
import { createFakeClock } from "../support/fake-clock.ts";

function open() {
  const clock = createFakeClock();
  const sent: string[] = [];
  const reports = createReports(clock, ({ note }) => sent.push(note));
  return { clock, sent, reports, add: (note: string) => reports.add({ fraction: 0, note }) };
}

test("the first report is sent at once, and of those within 100 ms after it the newest, when they are over", () => {
  const { clock, sent, add } = open();
  for (const note of ["a", "b", "c"]) add(note);
  clock.advance(99);
  add("d");
  assert.deepEqual(sent, ["a"]);
  clock.advance(1);
  assert.deepEqual(sent, ["a", "d"]);
  clock.advance(50);
  add("e");
  assert.deepEqual(sent, ["a", "d"]);
  clock.advance(50);
  assert.deepEqual(sent, ["a", "d", "e"]);
});

test("a report after a pause is sent at once, and no timer is set for it", () => {
  const { clock, sent, add } = open();
  add("a");
  clock.advance(100);
  add("b");
  assert.deepEqual(sent, ["a", "b"]);
  assert.equal(clock.timers(), 0);
});

test("a report that waits while the timer cannot fire is overtaken by a newer one, and not sent behind it", () => {
  const { clock, sent } = open();
  let blockedMs = 0;
  const blocked = createReports({ ...clock, monotonicMs: () => clock.monotonicMs() + blockedMs }, ({ note }) =>
    sent.push(note),
  );
  for (const note of ["a", "b"]) blocked.add({ fraction: 0, note });
  blockedMs = 150;
  blocked.add({ fraction: 0, note: "c" });
  clock.advance(1_000);
  assert.deepEqual(sent, ["a", "c"]);
});

test("at the end the last report is given, and none is sent any more", () => {
  const { clock, sent, add, reports } = open();
  for (const note of ["a", "b"]) add(note);
  assert.equal(reports.end().note, "b");
  assert.equal(clock.timers(), 0);
  assert.deepEqual(sent, ["a"]);
});
