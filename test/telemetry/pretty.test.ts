import assert from "node:assert/strict";
import { test } from "node:test";
import { prettyLine } from "../../src/telemetry/pretty.ts";

const line = (more: object, hasColours = false) =>
  prettyLine(`${JSON.stringify({ level: 40, time: "2026-11-29T12:00:00.123Z", msg: "text", ...more })}\n`, hasColours);

test("a line has its time, its level, its text and its facts", () => {
  const facts = { job: "0199-1", fields: { width: 3 }, note: "two words", span_id: "b7ad6b7169203331" };
  assert.match(line(facts), /^\d\d:\d\d:00\.123 warn  text  job=0199-1 fields=\{"width":3\} note="two words"\n$/);
});

test("a stack stands below its line", () => {
  assert.match(
    line({ stack: "Error: no\n    at a\n    at b" }),
    /^\S+ warn  text\n {4}Error: no\n {8}at a\n {8}at b\n$/,
  );
});

test("nothing in a line can begin another, or steer the terminal", () => {
  const hostile = "a\n12:00:00.000 error forged\u001b[2J\u202e\r";
  const shown = line({ msg: hostile, [hostile]: hostile, stack: `Error\n\u001b[2J` });
  assert.equal(shown.split("\n").length, 4, shown);
  assert.doesNotMatch(shown, /[\u001b\u202e\r]/);
});

test("colours are there where they are wanted", () => {
  assert.ok(line({ pool: "cpu" }, true).includes("\u001b[33mwarn \u001b[39m text"));
  assert.ok(!line({ pool: "cpu" }).includes("\u001b"));
});
