import assert from "node:assert/strict";
import { test } from "node:test";
import { createIds } from "../../../clients/typescript/id.ts";
import { newJobId } from "../../../clients/typescript/index.ts";

const form = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("an id is a UUIDv7 that begins with the time", () => {
  const id = createIds(() => 0x0123456789ab)();
  assert.match(id, form);
  assert.equal(id.slice(0, 13), "01234567-89ab");
});

test("each id is greater than the one before, also within a millisecond and when the clock goes back", () => {
  let now = 1_000;
  const next = createIds(() => now);
  let last = "";
  for (let count = 0; count < 50_000; count++) {
    if (count === 20_000) now = 10;
    if (count === 40_000) now = 5_000;
    const id = next();
    assert.match(id, form);
    assert.ok(id > last, `${id} after ${last}`);
    last = id;
  }
  assert.equal(Number.parseInt(last.replace("-", "").slice(0, 12), 16) >= 5_000, true);
});

test("the random bits differ between ids and between sources", () => {
  const sources = [createIds(() => 1), createIds(() => 1)];
  const tails = sources.flatMap((next) => Array.from({ length: 1_000 }, () => next().slice(19)));
  assert.equal(new Set(tails).size, 2_000);
  assert.notEqual(newJobId(), newJobId());
});
