/** What users put into a folder of tasks, and works or is ignored. What does neither is in task-faults.test.ts. */
import assert from "node:assert/strict";
import { symlink } from "node:fs/promises";
import { join } from "node:path";
import { suite, test } from "node:test";
import { loadTasks } from "../../src/pool/tasks.ts";
import { type Files, good, load, millpond, sourcesOf, task } from "./try-folder.ts";

suite("what works", { concurrency: 4 }, () => {
  const rows: readonly (readonly [what: string, files: Files, tasks: readonly string[]])[] = [
    ["TypeScript modules named .mts", { "task.mts": good() }, ["good"]],
    [
      "CommonJS named .cjs",
      {
        "task.cjs": `const { defineTask } = require("millpond"); module.exports = defineTask({ name: "good", pool: "cpu", run: () => 1 });`,
      },
      ["good"],
    ],
    [
      "CommonJS in TypeScript named .cts",
      {
        "task.cts": `const { defineTask } = require("millpond"); const name: string = "good"; module.exports = defineTask({ name, pool: "cpu", run: () => 1 });`,
      },
      ["good"],
    ],
    [
      "CommonJS in a .js file",
      {
        "task.js": `const { defineTask } = require("millpond"); module.exports = defineTask({ name: "good", pool: "cpu", run: () => 1 });`,
      },
      ["good"],
    ],
    [
      "`exports.default` of a compiler",
      {
        "task.js": `const { defineTask } = require("millpond"); exports.default = defineTask({ name: "good", pool: "cpu", run: () => 1 }); exports.__esModule = true;`,
      },
      ["good"],
    ],
    ["a package.json of `npm init -y`", { "package.json": '{"type": "commonjs"}', "greet.ts": good() }, ["good"]],
    [
      "several files, by name",
      { "b.ts": good("second"), "a.js": good("first"), "c.mjs": good("third") },
      ["first", "second", "third"],
    ],
    ["a name with spaces and #", { "my task #1.ts": good() }, ["good"]],
    [
      "JSON with its type",
      {
        "data.json": '{"a": 1}',
        "task.ts": `${millpond}import data from "./data.json" with { type: "json" };\n${task("good", "run: () => data")}`,
      },
      ["good"],
    ],
    [
      "top-level await that ends",
      { "task.ts": `${millpond}await new Promise((resolve) => setTimeout(resolve, 20));\n${task("good")}` },
      ["good"],
    ],
    ["an interval at top level", { "task.ts": `${millpond}setInterval(() => {}, 1000);\n${task("good")}` }, ["good"]],
    [
      "a listener of SIGTERM and an exit code",
      { "task.ts": `${millpond}process.on("SIGTERM", () => {});\nprocess.exitCode = 3;\n${task("good")}` },
      ["good"],
    ],
    [
      "a check that is asynchronous: its jobs are refused later",
      { "task.ts": millpond + task("good", "check: (async () => []) as never, run: () => 1") },
      ["good"],
    ],
    [
      "an import that fails only in some threads",
      {
        "task.ts": `${millpond}import { existsSync } from "node:fs";\nif (existsSync("/nonexistent/marker")) throw new Error("away");\n${task("good")}`,
      },
      ["good"],
    ],
  ];
  for (const [what, files, tasks] of rows) {
    test(what, async (t) => {
      const loaded = await load(t, files);
      assert.deepEqual([...loaded.tasks.keys()], tasks);
      assert.deepEqual(loaded.ignored, []);
    });
  }
});

suite("what is ignored is named, with the reason", { concurrency: 4 }, () => {
  const rows: readonly (readonly [what: string, files: Files, ignored: readonly [string, RegExp]])[] = [
    [
      "a helper beside the tasks",
      { "helper.ts": "export const helper = () => 42;" },
      ["helper.ts", /^it exports no task$/],
    ],
    ["a helper in CommonJS", { "helper.cjs": "exports.helper = () => 42;" }, ["helper.cjs", /^it exports no task$/]],
    [
      "a default export that is a function",
      { "fn.ts": "export default async () => 1;" },
      ["fn.ts", /^its default export is a function; to make it a task, write `export default defineTask/],
    ],
    ["a test, which is not even run", { "t.test.ts": "process.exit(5);" }, ["t.test.ts", /^a test$/]],
    ["a folder", { "inner/task.ts": good("inner") }, ["inner/", /^a folder: only files beside it are tasks$/]],
    [
      "JSX",
      { "task.tsx": "export default () => <div/>;" },
      ["task.tsx", /^Node\.js does not run JSX: compile it to JavaScript$/],
    ],
  ];
  for (const [what, files, [name, why]] of rows) {
    test(what, async (t) => {
      const { tasks, ignored } = await load(t, { ...files, "good.ts": good() });
      assert.deepEqual([...tasks.keys()], ["good"]);
      assert.equal(ignored.length, 1);
      assert.equal(ignored[0]?.path.split(/(?<=\/)(?=[^/]+\/?$)/).at(-1), name);
      assert.match(ignored[0]?.why ?? "", why);
    });
  }

  test("what is no code is not mentioned, nor are type declarations, hidden files and node_modules", async (t) => {
    const files = {
      "README.md": "",
      "data.json": "{}",
      "a.d.ts": "",
      "a.d.mts": "",
      ".hidden.ts": "",
      "node_modules/a/b.js": "",
    };
    assert.deepEqual((await load(t, { ...files, "good.ts": good() })).ignored, []);
  });
});

test("files behind links work, as Kubernetes mounts a ConfigMap", async (t) => {
  const sources = await sourcesOf(t, { "..2026_01/greet.ts": good("greet") });
  const folder = sources.folders.join();
  await symlink("..2026_01", join(folder, "..data"));
  await symlink("..data/greet.ts", join(folder, "greet.ts"));
  const loaded = await loadTasks(sources);
  assert.deepEqual([[...loaded.tasks.keys()], loaded.ignored], [["greet"], []]);
});
