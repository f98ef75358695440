/** Holds the page of each built-in task that has one to what the task takes and gives. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadHere } from "../support/samples.ts";
import { firstColumn } from "./documents.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const { tasks } = await loadHere(new URL("../../src/tasks/", import.meta.url));

for (const path of globSync("docs/tasks/*.md", { cwd: root })) {
  const page = readFileSync(join(root, path), "utf8");
  const task = tasks.get(basename(path, ".md"));

  for (const [heading, message] of [
    ["Input", task?.input],
    ["Output", task?.output],
  ] as const) {
    test(`${path} has every field of the ${heading.toLowerCase()}, and no other`, () => {
      const fields = message?.fields.map(({ jsonName }) => jsonName) ?? [];
      assert.deepEqual(firstColumn(page, heading).toSorted(), fields.toSorted());
    });
  }

  test(`${path} has every setting, and no other`, () => {
    const settings = Object.keys(task?.settings ?? {});
    assert.deepEqual(firstColumn(page, "Settings").toSorted(), settings.toSorted());
  });
}

test("the names in the first column of a section's table are found", () => {
  const page = "## Input\n| Field | x |\n| --- | --- |\n| `a` or `b` | `no` |\n| `c`, `d` | |\n## Other\n| `e` | |\n";
  assert.deepEqual(firstColumn(page, "Input"), ["a", "b", "c", "d"]);
});
