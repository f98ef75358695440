/** Holds the documents to the code: a half that was forgotten fails by its name. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { notReadyReasons } from "../../src/engine/upkeep/readiness.ts";
import { Code, rules } from "../../src/errors.ts";
import { documents } from "../../src/rpc/front-page.ts";
import {
  brokenLinks,
  documentedFailures,
  documentedRefusals,
  missingFiles,
  namedFailures,
  rpcNames,
} from "./documents.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");

suite("docs", () => {
  test("docs/errors.md has every refusal with its code, and no other", () => {
    const codeNames = new Map(
      Object.entries(Code).map(([name, code]) => [code, name.replace(/(?<=[a-z])(?=[A-Z])/g, "_")]),
    );
    const inCode = Object.entries(rules).map(
      ([reason, { code, retryable }]) => `${reason} ${codeNames.get(code)?.toUpperCase()} ${retryable ? "yes" : "no"}`,
    );
    assert.deepEqual(documentedRefusals(read("docs/errors.md")).toSorted(), inCode.toSorted());
  });

  test("docs/errors.md has every reason that Millpond and its tasks fail with, and no other", () => {
    const files = globSync("src/{engine,job,pool,store,tasks}/**/*.ts", { cwd: root });
    const inCode = new Set(files.flatMap((path) => namedFailures(read(path))));
    assert.deepEqual(new Set(documentedFailures(read("docs/errors.md")).toSorted()), new Set([...inCode].toSorted()));
  });

  test("docs/protocol.md has every RPC, and no other", () => {
    const inProto = rpcNames(read("proto/millpond/v1/worker_pool.proto"));
    const documented = [...read("docs/protocol.md").matchAll(/^\| `([A-Z]\w+)` \| (?:unary|both|server)/gm)].map(
      ([, name]) => name,
    );
    assert.deepEqual(documented, inProto);
  });

  test("docs/deployment.md has every reason why a server is not ready, and no other", () => {
    const documented = [...read("docs/deployment.md").matchAll(/^\| `([a-z_]+)` \|/gm)].map(([, reason]) => reason);
    assert.deepEqual(documented, notReadyReasons);
  });

  test("the documents that the page at / names are there", () => {
    for (const path of documents) assert.ok(existsSync(join(root, path)), path);
  });

  for (const page of ["docs/architecture.md", "docs/decisions.md", "CONTRIBUTING.md"]) {
    test(`${page} names only files that there are`, () => {
      const tree = globSync("{docs,proto,src,test,clients}/**/*", { cwd: root }).map((path) =>
        path.replaceAll("\\", "/"),
      );
      assert.deepEqual(missingFiles(read(page), [...tree, "CHANGELOG.md"]), []);
    });
  }

  test("links between documents lead somewhere", () => {
    const pages = globSync(["*.md", "docs/**/*.md", "clients/**/*.md", "deploy/**/*.md"], { cwd: root });
    assert.ok(pages.length >= 5, "the documents are found");
    const broken = pages.flatMap((page) =>
      brokenLinks(read(page), {
        exists: (path) => existsSync(join(root, dirname(page), path)),
        read: (path) => read(join(dirname(page), path)),
      }).map((link) => `${page}: ${link}`),
    );
    assert.deepEqual(broken, []);
  });
});

suite("the checks of documents see", () => {
  test("a refusal's row, and nothing of the failures", () => {
    const page = "## Refusals\n| `gone` | NOT_FOUND | no | x | y |\n## Failures\n| `late` | yes | x |\n";
    assert.deepEqual(documentedRefusals(page), ["gone NOT_FOUND no"]);
    assert.deepEqual(documentedFailures(page), ["late"]);
  });

  test("the reasons in code", () => {
    const code =
      'permanent("a", x); super("f", y); new TaskError(\n  "b",\n); ({ reason: "c", message }); reason: given ? "d" : "e",';
    assert.deepEqual(namedFailures(code), ["a", "f", "b", "c", "d", "e"]);
  });

  test("an RPC", () => {
    assert.deepEqual(rpcNames("  rpc Submit(A) returns (B);\n  // rpc Old(A)\n"), ["Submit"]);
  });

  test("a file that is not there", () => {
    const page =
      "`src/a/b.ts`, `a/b.ts`, `b.ts` and `src/a/` are there; `a/` may be; `a/c.ts`, `c.ts`, `src/c/` and not `job.state`";
    assert.deepEqual(missingFiles(page, ["src/a/b.ts"]), ["a/c.ts", "c.ts", "src/c/"]);
  });

  test("a link to a page or a heading that is not there", () => {
    const text =
      "# Here\n[a](there.md) [b](gone.md) [c](#here) [d](#gone) [e](there.md#part-2) [f](https://x) `[g](no.md)`";
    const broken = brokenLinks(text, { exists: (path) => path === "there.md", read: () => "## Part 2" });
    assert.deepEqual(broken, ["gone.md", "#gone"]);
  });
});
