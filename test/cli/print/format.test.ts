import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { duration, moment, rate, shortened, size } from "../../../src/cli/print/format.ts";

suite("what people read", () => {
  test("durations have two or three figures and a unit", () => {
    const cases = [undefined, 0, 0.25, 12.4, 999, 1500, 99_900, 120_000, 7_200_000, 86_400_000 * 3];
    assert.deepEqual(cases.map(duration), [
      "-",
      "0 ms",
      "0.3 ms",
      "12 ms",
      "999 ms",
      "1.5 s",
      "99.9 s",
      "2 min",
      "2 h",
      "3 d",
    ]);
    assert.equal(duration(Number.NaN), "-");
  });

  test("a duration just below a second is not told as 1000 ms", () => {
    assert.equal(duration(999.7), "1.0 s");
  });

  test("sizes count in 1024s", () => {
    assert.deepEqual([0, 1023, 1024, 10_240, 5 * 2 ** 20, 300 * 2 ** 20].map(size), [
      "0 bytes",
      "1023 bytes",
      "1.0 KiB",
      "10 KiB",
      "5.0 MiB",
      "300 MiB",
    ]);
  });

  test("rates lose their fraction when they are high", () => {
    assert.deepEqual([0, 0.25, 12, 1234.5].map(rate), ["0/s", "0.3/s", "12/s", "1235/s"]);
  });

  test("moments are in the machine's own time zone, and a missing one is a dash", () => {
    assert.equal(moment(new Date(2026, 0, 2, 3, 4, 5)), "2026-01-02 03:04:05");
    assert.equal(moment(undefined), "-");
    assert.equal(moment(new Date(Number.NaN)), "-");
  });

  test("a shortened text shows that it was", () => {
    assert.equal(shortened("abcdefghij", 10), "abcdefghij");
    assert.equal(shortened("abcdefghijk", 10), "abcdefg...");
  });
});
