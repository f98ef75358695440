import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { afterKey, type Choice, firstChoice } from "../../../src/cli/top/keys.ts";
import { sections } from "../../../src/cli/top/sections.ts";

function after(...keys: readonly string[]): Choice {
  return keys.reduce<Choice>((choice, key) => afterKey(choice, key) ?? assert.fail(`${key} ended it`), firstChoice);
}

suite("keys", () => {
  test("q, Esc and Ctrl-C end it, Ctrl-C and q also while the help is shown", () => {
    for (const key of ["q", "escape", "ctrl-c"]) assert.equal(afterKey(firstChoice, key), undefined);
    for (const key of ["q", "ctrl-c"]) assert.equal(afterKey(after("?"), key), undefined);
  });

  test("any other key closes the help and does nothing else", () => {
    for (const key of ["?", "escape", "p", "x"]) assert.deepEqual(after("?", key), firstChoice);
  });

  test("p and space pause and go on", () => {
    assert.equal(after("p").isPaused, true);
    assert.equal(after("p", "space").isPaused, false);
  });

  test("tab goes round through the tables, shift-tab the other way", () => {
    assert.deepEqual(
      [after("tab"), after("tab", "tab"), after("tab", "tab", "tab"), after("shift-tab")].map(({ section }) => section),
      [1, 2, 0, 2],
    );
  });

  test("left and right go round through the columns of the chosen table and leave the others alone", () => {
    const columns = sections[1]?.columns.length ?? 0;
    const round = after("tab", ...Array<string>(columns).fill("right"));
    assert.deepEqual(round.sortings, firstChoice.sortings);
    const left = after("tab", "r", "left");
    assert.deepEqual(left.sortings[1], { column: 1, isReversed: false }, "another column begins unreversed");
    assert.deepEqual([left.sortings[0], left.sortings[2]], [firstChoice.sortings[0], firstChoice.sortings[2]]);
  });

  test("scrolling begins at the top again in another table or order", () => {
    assert.equal(after("down", "down", "up").scrolled, 1);
    assert.equal(after("up").scrolled, 0);
    assert.equal(after("pagedown", "pageup").scrolled, 0);
    for (const key of ["tab", "left", "r"]) assert.equal(after("pagedown", key).scrolled, 0);
  });

  test("keys without a meaning change nothing", () => {
    for (const key of ["x", "", "f1", "ctrl-z"]) assert.equal(afterKey(firstChoice, key), firstChoice);
  });
});
