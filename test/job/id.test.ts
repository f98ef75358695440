import assert from "node:assert/strict";
import { test } from "node:test";
import { newId } from "../../src/job/id.ts";

const at = 1_790_000_000_123;

test("an id is a UUIDv7 in its 36-character form", () => {
  for (let made = 0; made < 1000; made += 1) {
    assert.match(newId(at), /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  }
});

test("its first 48 bits are the time", () => {
  const id = newId(at);
  assert.equal(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16), at);
});

test("an id made a millisecond later sorts behind", () => {
  for (let ms = 0; ms < 300; ms += 1) assert.ok(newId(at + ms) < newId(at + ms + 1));
});

test("ids of the same millisecond differ, beyond what is drawn at once", () => {
  const ids = new Set(Array.from({ length: 5000 }, () => newId(at)));
  assert.equal(ids.size, 5000);
});

test("every random bit is drawn", () => {
  const ids = Array.from({ length: 500 }, () => BigInt(`0x${newId(at).replaceAll("-", "")}`));
  const ones = ids.reduce((seen, id) => seen | id, 0n);
  const zeros = ids.reduce((seen, id) => seen | ~id, 0n);
  const random = (1n << 62n) - 1n + (((1n << 12n) - 1n) << 64n);
  assert.equal(ones & zeros & random, random);
});
