import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type Batch, createTurns } from "../../../src/pool/checker/turns.ts";

const batch = (client: string, broken: number): Batch => ({
  ...{ call: { client, signal: undefined }, inputs: [], answers: [], sinceMs: 0, broken },
  done: () => {},
});

/** The batches in the order of their turns, until none is left. */
function all(turns: ReturnType<typeof createTurns>): string[] {
  const names: string[] = [];
  for (let next = turns.next(); next; next = turns.next()) names.push(`${next.call.client}${next.broken}`);
  assert.ok(turns.isEmpty());
  return names;
}

suite("turns", () => {
  test("clients are served one after the other, and each in the order in which its batches came", () => {
    const turns = createTurns();
    for (const number of [1, 2, 3]) turns.add(batch("a", number), "last");
    for (const number of [1, 2]) turns.add(batch("b", number), "last");
    turns.add(batch("c", 1), "last");
    assert.deepEqual(all(turns), ["a1", "b1", "c1", "a2", "b2", "a3"]);
  });

  test("what is put first is the next of its client, and takes no turn of another", () => {
    const turns = createTurns();
    turns.add(batch("b", 1), "last");
    turns.add(batch("a", 2), "last");
    turns.add(batch("a", 1), "first");
    assert.deepEqual(all(turns), ["b1", "a1", "a2"]);
  });

  test("what is removed is found in every line", () => {
    const turns = createTurns();
    for (const client of ["a", "b"]) for (const number of [1, 2]) turns.add(batch(client, number), "last");
    turns.add(batch("c", 1), "last");
    const removed = turns.remove(({ broken }) => broken === 1);
    assert.deepEqual(
      removed.map(({ call }) => call.client),
      ["a", "b", "c"],
    );
    assert.deepEqual(all(turns), ["a2", "b2"]);
  });
});
