import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../../clients/typescript/clock.ts";

const yearMs = 365 * 86_400_000;

test("a limit of a year is not reached before one of a moment", async () => {
  const reached = await new Promise<string>((resolve) => {
    const cancel = systemClock.after(yearMs, () => resolve("a year"));
    setTimeout(() => {
      cancel();
      resolve("a moment");
    }, 10);
  });
  assert.equal(reached, "a moment");
});

test("a sleep of a year does not end before one of a moment", async () => {
  const hangUp = new AbortController();
  const year = systemClock.sleep(yearMs, hangUp.signal).then(() => "a year");
  assert.equal(await Promise.race([year, systemClock.sleep(10).then(() => "a moment")]), "a moment");
  hangUp.abort();
  await assert.rejects(year, { name: "AbortError" });
});
