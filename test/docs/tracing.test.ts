/** Holds docs/tracing.md to the code: a span or an attribute that was forgotten fails by its name. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const page = readFileSync(join(root, "docs/tracing.md"), "utf8");
const code = globSync("src/telemetry/{attributes,*-spans,span}.ts", { cwd: root })
  .map((path) => readFileSync(join(root, path), "utf8"))
  .join("\n");

/** The first cells of the table below a heading. */
function rowsOf(heading: string): string[] {
  const section = page.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  return [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name as string);
}

suite("docs/tracing.md", () => {
  test("has every attribute that a span may have, and no other", () => {
    const inCode = [...code.matchAll(/"((?:messaging|rpc|millpond|error|exception)\.[a-z_.]+)"/g)].map(
      ([, name]) => name as string,
    );
    assert.ok(inCode.length > 20, "the attributes are found");
    assert.deepEqual(rowsOf("Attributes").toSorted(), [...new Set(inCode)].toSorted());
  });

  test("has every span, and no other", () => {
    const given = [...code.matchAll(/\bname: ["`]([^"`]+)["`], kind:/g)].map(([, name]) =>
      (name as string).replace("${job.task}", "<task>"),
    );
    assert.deepEqual(rowsOf("Spans").toSorted(), [...new Set([...given, "submit", "redrive"])].toSorted());
  });
});
