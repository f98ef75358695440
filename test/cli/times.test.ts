import assert from "node:assert/strict";
import { test } from "node:test";
import { momentAgoOf, momentAheadOf, momentOf, parseDuration } from "../../src/cli/times.ts";

const minuteMs = 60_000;

test("durations have a unit, and may have parts", () => {
  const cases = ["250ms", "5s", "1.5m", "1h", "30d", "0s"].map(parseDuration);
  assert.deepEqual(cases, [250, 5_000, 90_000, 3_600_000, 2_592_000_000, 0]);
  for (const text of ["", "5", "s", "-5s", "5 s", "5S", "1e3s", "5s5m", ".5s", "5sec"]) {
    assert.equal(parseDuration(text), undefined, text);
  }
});

test("moments are ISO 8601, in the machine's zone where they name none", () => {
  const at = (text: string) => momentOf({ "--at": text }, "--at")?.toISOString();
  assert.equal(at("2026-01-31T23:59:30Z"), "2026-01-31T23:59:30.000Z");
  assert.equal(at("2026-01-31T23:59+02:00"), "2026-01-31T21:59:00.000Z");
  assert.equal(at("2026-01-31 23:59"), new Date(2026, 0, 31, 23, 59).toISOString());
  assert.equal(at("2026-01-31"), new Date(2026, 0, 31).toISOString());
  assert.equal(at("2028-02-29T12:00Z"), "2028-02-29T12:00:00.000Z");
  assert.equal(momentOf({}, "--at"), undefined);
  for (const text of [
    "",
    "2026",
    "31.1.2026",
    "2026-13-01",
    "2026-02-30T25:00",
    "23:59",
    "10m",
    "2027-02-30",
    "2027-02-29T00:00Z",
    "2026-04-31T23:59",
    "2026-06-00",
  ]) {
    assert.throws(() => momentOf({ "--at": text }, "--at"), { name: "UsageError" }, text);
  }
});

test("a duration stands for a moment ahead or ago", () => {
  const near = (moment: Date | undefined, expected: number) => {
    const off = Math.abs((moment?.getTime() ?? 0) - expected);
    assert.ok(off < minuteMs, `${off} ms off`);
  };
  near(momentAheadOf({ "--expires": "2h" }, "--expires"), Date.now() + 120 * minuteMs);
  near(momentAgoOf({ "--before": "2h" }, "--before"), Date.now() - 120 * minuteMs);
  near(momentAheadOf({ "--expires": "2026-01-31T00:00Z" }, "--expires"), Date.UTC(2026, 0, 31));
  assert.throws(() => momentAheadOf({ "--expires": "400d" }, "--expires"), /at most 365d from now/);
});
