import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "./temporary-folder.ts";

const original = fileURLToPath(new URL("../../.ci/run", import.meta.url));

test("steps and the tests they ran are counted in the last line", (t) => {
  const { status, lines } = run(t, { types: "true", test: "echo '12 passed, 0 failed, 1 skipped'" }, [
    "types",
    "tests",
  ]);
  assert.equal(lines.at(-1), "14 passed, 0 failed");
  assert.equal(status, 0);
});

test("the first step that fails is named, and nothing runs after it", (t) => {
  const { status, lines } = run(t, { types: "true", lint: "exit 3", test: "echo no" }, ["types", "lint", "tests"]);
  assert.ok(lines.some((line) => line.startsWith("== lint: FAILED with exit code")));
  assert.ok(!lines.includes("no"));
  assert.equal(lines.at(-1), "1 passed, 1 failed");
  assert.equal(status, 1);
});

test("tests that failed are counted besides their step", (t) => {
  const { status, lines } = run(t, { test: "echo '12 passed, 2 failed'; exit 1" }, ["tests"]);
  assert.equal(lines.at(-1), "12 passed, 3 failed");
  assert.equal(status, 1);
});

test("a step that does not exist is an error", (t) => {
  assert.equal(run(t, {}, ["typs"]).status, 1);
});

/** Runs .ci/run in a folder whose npm scripts are these. */
function run(
  t: TestContext,
  scripts: { readonly [name: string]: string },
  steps: readonly string[],
): { readonly status: number | null; readonly lines: readonly string[] } {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, ".ci"));
  copyFileSync(original, join(folder, ".ci/run"));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ scripts }));
  const { status, stdout } = spawnSync("bash", [join(folder, ".ci/run"), ...steps], { encoding: "utf8" });
  return { status, lines: stdout.trimEnd().split("\n") };
}
