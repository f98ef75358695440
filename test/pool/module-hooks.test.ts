import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { pathToFileURL } from "node:url";
import * as client from "../../clients/typescript/index.ts";
import * as surface from "../../src/index.ts";
import { hookModules } from "../../src/pool/module-hooks.ts";

hookModules();

/** Imports the first of these files, from a folder of their own. */
async function importFirst(t: TestContext, files: { readonly [path: string]: string }) {
  const folder = await mkdtemp(join(tmpdir(), "millpond-modules-"));
  t.after(() => rm(folder, { recursive: true }));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  const [first = ""] = Object.keys(files);
  return (await import(pathToFileURL(join(folder, first)).href)) as { readonly [name: string]: unknown };
}

const commonJs = { "package.json": '{"type": "commonjs"}' };

suite("what a task file imports of this package is the running copy", () => {
  test("as `millpond` and as `millpond/client`, by `import` and by `require`", async (t) => {
    const text = `export * as surface from "millpond"; export * as client from "millpond/client";`;
    const imported = await importFirst(t, { "a.ts": text });
    assert.ok(imported["surface"] === surface && imported["client"] === client);
    const required = await importFirst(t, { "a.cjs": 'exports.surface = require("millpond");' });
    assert.equal(required["surface"], surface);
  });

  test("and nothing else of it", async (t) => {
    await assert.rejects(importFirst(t, { "a.ts": 'import "millpond/src/errors";' }), { code: "ERR_MODULE_NOT_FOUND" });
  });
});

suite("in a package of type commonjs", () => {
  for (const [what, name, text] of [
    ["TypeScript with an import", "a.ts", 'import type { A } from "millpond";\nexport const one: number = 1;'],
    ["TypeScript with top-level await", "a.ts", "export const one = await Promise.resolve(1 as number);"],
    ["JavaScript with an export", "a.js", "const one = 1;\nexport { one };"],
    ["an import of such a file", "a.ts", 'export { one } from "./lib/b.ts";'],
    ["CommonJS in TypeScript", "a.ts", "const one: number = 1;\nexports.one = one;"],
    ["CommonJS that requires an ES module", "a.js", 'exports.one = require("./lib/b.ts").one;'],
    ["CommonJS with a dynamic import", "a.js", 'import("./lib/b.ts");\nexports.one = 1;'],
  ] as const) {
    test(`${what} is read as what it is`, async (t) => {
      const files = { [name]: text, "lib/b.ts": "export const one: number = 1;", ...commonJs };
      assert.equal((await importFirst(t, files))["one"], 1);
    });
  }

  test("a package below node_modules is left to Node.js", async (t) => {
    const dependency = {
      "node_modules/old/package.json": '{"type": "commonjs", "main": "index.js"}',
      "node_modules/old/index.js": "export const one = 1;",
    };
    await assert.rejects(importFirst(t, { "a.ts": 'import "old";', ...commonJs, ...dependency }), SyntaxError);
  });
});
