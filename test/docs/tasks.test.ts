/** Holds the page of each built-in task that has one to what the task takes and gives. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadTasks } from "../../src/pool/tasks.ts";
import { firstColumn } from "./documents.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const tasks = await loadTasks({ folders: [join(root, "src/tasks")], pools: ["cpu", "io"], settings: {} });

for (const path of globSync("docs/tasks/*.md", { cwd: root })) {
  const page = readFileSync(join(root, path), "utf8");
  const definition = tasks.get(basename(path, ".md"))?.definition;

  for (const [heading, message] of [
    ["Input", definition?.input],
    ["Output", definition?.output],
  ] as const) {
    test(`${path} has every field of the ${heading.toLowerCase()}, and no other`, () => {
      const fields = message?.fields.map(({ jsonName }) => jsonName) ?? [];
      assert.deepEqual(firstColumn(page, heading).toSorted(), fields.toSorted());
    });
  }

  test(`${path} has every setting, and no other`, () => {
    const settings = Object.keys(definition?.settings?.({}) ?? {});
    assert.deepEqual(firstColumn(page, "Settings").toSorted(), settings.toSorted());
  });
}

test("the names in the first column of a section's table are found", () => {
  const page = "## Input\n| Field | x |\n| --- | --- |\n| `a` or `b` | `no` |\n| `c`, `d` | |\n## Other\n| `e` | |\n";
  assert.deepEqual(firstColumn(page, "Input"), ["a", "b", "c", "d"]);
});
