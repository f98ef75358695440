import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { temporaryFolder } from "./temporary-folder.ts";

const reporter = new URL("../../.ci/reporter.ts", import.meta.url).href;

/** The exit code and the last line of a run of a test file with this code. */
function runTests(t: TestContext, code: string, given = "some.test.mjs") {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "some.test.mjs"), `import { suite, test } from "node:test";\n${code}`);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env; // a test run of its own, and no part of this one
  const args = ["--test", `--test-reporter=${reporter}`, join(folder, given)];
  const { status, stdout } = spawnSync(process.execPath, args, { env, encoding: "utf8" });
  return { status, lines: stdout.trimEnd().split("\n") };
}

test("the last line counts what passed, failed and was skipped", (t) => {
  const { status, lines } = runTests(
    t,
    `test("a", () => {}); test("b", () => { throw new Error("no"); }); test("c", { skip: "no Go" });`,
  );
  assert.equal(lines.at(-1), "1 passed, 1 failed, 1 skipped");
  assert.equal(status, 1);
});

test("a suite that is skipped as a whole is named and is no failure", (t) => {
  const { status, lines } = runTests(t, `suite("all of it", { skip: "no Go" }, () => test("a", () => {}));`);
  assert.ok(lines.includes("  skipped: all of it: no Go"));
  assert.equal(lines.at(-1), "0 passed, 0 failed, 1 skipped");
  assert.equal(status, 0);
});

test("a run of no file fails", (t) => {
  const { status, lines } = runTests(t, `test("a", () => {});`, "mistyped/**/*.test.mjs");
  assert.equal(lines.at(-1), "no test was found");
  assert.equal(status, 1);
});
