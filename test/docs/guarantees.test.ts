/** Holds docs/guarantees.md to the tests that it names. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));

type Proof = { readonly promise: string; readonly path: string; readonly words: string };

/** Pure: the tests that each promise names. */
function proofsOf(page: string): Proof[] {
  return page.split(/^(?=## \d+\. )/m).flatMap((section) => {
    const [, promise] = /^## (\d+\. .*)$/m.exec(section) ?? [];
    if (promise === undefined) return [];
    return [...section.matchAll(/^- `(test\/[^`]+)`: (.+)$/gm)].map(([, path = "", words = ""]) => ({
      promise,
      path,
      words,
    }));
  });
}

function promisesOf(page: string): string[] {
  return [...page.matchAll(/^## (\d+\. .*)$/gm)].map(([, promise = ""]) => promise);
}

/** Proofs whose file is missing or does not have these words. */
function missing(proofs: readonly Proof[], read: (path: string) => string | undefined): string[] {
  return proofs.filter(({ path, words }) => !read(path)?.includes(words)).map(({ path, words }) => `${path}: ${words}`);
}

suite("docs/guarantees.md", () => {
  const page = readFileSync(join(root, "docs/guarantees.md"), "utf8");

  test("names tests that are there", () => {
    const read = (path: string) => (existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : undefined);
    assert.deepEqual(missing(proofsOf(page), read), []);
  });

  test("has a test for every promise", () => {
    const proven = new Set(proofsOf(page).map(({ promise }) => promise));
    assert.ok(promisesOf(page).length >= 9);
    assert.deepEqual(
      promisesOf(page).filter((promise) => !proven.has(promise)),
      [],
    );
  });

  test("the check sees a test that is gone", () => {
    const proofs = proofsOf("# Page\n## 1. Kept\n- `test/a.test.ts`: is so\n- `test/b.test.ts`: is not\n");
    assert.deepEqual(
      missing(proofs, (path) => (path === "test/a.test.ts" ? 'test("it is so")' : undefined)),
      ["test/b.test.ts: is not"],
    );
  });
});
