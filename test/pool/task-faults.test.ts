/** What users put into a folder of tasks and cannot be served: each is one message that says where, why, and what to do. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { faults, good, millpond, task } from "./try-folder.ts";

suite("what cannot be served says where, why, and what to do", { concurrency: 4 }, () => {
  const rows: readonly (readonly [what: string, text: string, said: RegExp])[] = [
    [
      "an enum",
      `${millpond}enum Color { Red, Green }\n${task("a")}`,
      /^task\.ts:2: TypeScript enum is more than types, .*: write an object such as `const Color = .* or compile/,
    ],
    [
      "a parameter property",
      `${millpond}class A { constructor(private x: number) {} }\n${task("a")}`,
      /^task\.ts:2: TypeScript parameter property .*: declare the field and set it in the constructor/,
    ],
    [
      "a namespace",
      `${millpond}namespace N { export const a = 1; }\n${task("a")}`,
      /^task\.ts:2: TypeScript namespace .*plain JavaScript/,
    ],
    [
      "a decorator",
      `${millpond}function d(v: unknown, c: unknown) {}\nclass A { @d m() {} }\n${task("a")}`,
      /^task\.ts:3: a decorator, which Node\.js does not run: .*compile/,
    ],
    [
      "a syntax error",
      `${millpond}\nexport default defineTask({ name: "a", run( { return 1 } });`,
      /^task\.ts:3: a syntax error: Expected ','/,
    ],
    [
      "a type imported as a value",
      `${millpond}import { TaskContext as C } from "millpond";\n${task("a")}`,
      /^task\.ts:2: "millpond" exports no value `TaskContext`: .*`import \{ type TaskContext \}`$/,
    ],
    [
      "a function of another name",
      'import { defineTasks } from "millpond";\nexport default defineTasks({});',
      /^task\.ts:1: "millpond" exports no value `defineTasks`: is it misspelt\?/,
    ],
    [
      "a part that this package does not have",
      `${millpond}import "millpond/server";\n${task("a")}`,
      /^task\.ts:2: it imports "millpond\/server", .*may import millpond and millpond\/client$/,
    ],
    [
      "a package that is not installed",
      `${millpond}import _ from "no-such-lodash";\n${task("a")}`,
      /^task\.ts:2: it imports "no-such-lodash", a package that is not installed: run `npm install no-such-lodash` in \//,
    ],
    [
      "a package of CommonJS that requires one that is not installed",
      `${millpond}import "needs";\n${task("a")}`,
      /^task\.ts: node_modules\/needs\/main\.js:2: it requires "@not\/there\/deep", a package .*: run `npm install @not\/there` in .*needs/,
    ],
    [
      "a package that is not complete",
      `${millpond}import "half";\n${task("a")}`,
      /^task\.ts: it imports a package without the file .*half\/missing\.js: install it again$/,
    ],
    [
      "a package without a default",
      `${millpond}import named from "named";\n${task("a", "run: () => named")}`,
      /^task\.ts:2: "named" has no default export: write `import \* as name` or `import \{ name \}`$/,
    ],
    [
      "a native addon of another machine",
      `${millpond}import "addon";\n${task("a")}`,
      /^task\.ts: it imports a native addon that cannot be loaded: .*addon\/main\.node: .*: install it on this machine/,
    ],
    [
      "a schema that is none",
      `${millpond}${task("a", 'input: { type: "object", propertys: {} } as never, run: () => 1')}`,
      /^task\.ts:2: its `input` is no JSON Schema: .*unknown keyword: "propertys"$/,
    ],
    [
      "a schema that waits",
      `${millpond}const input = { "~standard": { version: 1, vendor: "own", validate: async () => ({ value: 1 }) } };\n${task("a", "input, run: () => 1")}`,
      /^task\.ts:2: its `input` is asynchronous: leave out what waits/,
    ],
    [
      "a scoped package that is not installed",
      `${millpond}import "@no-such/lodash/deep";\n${task("a")}`,
      /^task\.ts:2: .*run `npm install @no-such\/lodash` in \//,
    ],
    [
      "a file that is missing",
      `${millpond}import { x } from "./missing.ts";\n${task("a", "run: () => x")}`,
      /^task\.ts:2: it imports "\.\/missing\.ts", which does not exist$/,
    ],
    [
      "an import without the extension",
      `${millpond}import { h } from "./lib/helper";\n${task("a", "run: () => h")}`,
      /^task\.ts:2: it imports "\.\/lib\/helper", .* write "\.\/lib\/helper\.ts"$/,
    ],
    [
      "an import with the compiled extension",
      `${millpond}import { h } from "./lib/helper.js";\n${task("a", "run: () => h")}`,
      /^task\.ts:2: .* write "\.\/lib\/helper\.ts"$/,
    ],
    [
      "an import of a folder",
      `${millpond}import { h } from "./lib";\n${task("a", "run: () => h")}`,
      /^task\.ts:2: .* write "\.\/lib\/index\.ts"$/,
    ],
    [
      "JSON without its type",
      `${millpond}import data from "./data.json";\n${task("a", "run: () => data")}`,
      /^task\.ts:2: it imports "\.\/data\.json" without its type: write `with \{ type: "json" \}`/,
    ],
    [
      "an error at import",
      `${millpond}throw new Error("no database", { cause: new Error("ECONNREFUSED") });\n${task("a")}`,
      /^task\.ts:2: its import threw: no database.*ECONNREFUSED/,
    ],
    [
      "an error in a helper",
      `${millpond}import "./lib/throws.ts";\n${task("a")}`,
      /^task\.ts: lib\/throws\.ts:2: its import threw: from within/,
    ],
    [
      "what is no error",
      `${millpond}throw "not an error";\n${task("a")}`,
      /^task\.ts: its import threw: .*not an error/,
    ],
    [
      "only the main thread may load it",
      `${millpond}import { isMainThread } from "node:worker_threads";\nif (!isMainThread) throw new Error("only on main");\n${task("a")}`,
      /^task\.ts:3: its import threw: only on main$/,
    ],
    [
      "a rejection that nobody handles",
      `${millpond}Promise.reject(new Error("no database"));\n${task("a")}`,
      /^task\.ts:2: something that it started threw: no database$/,
    ],
    [
      "a throw in the next turn",
      `${millpond}process.nextTick(() => { throw new Error("late"); });\n${task("a")}`,
      /^task\.ts:2: something that it started threw: late$/,
    ],
    [
      "process.exit at import",
      `${millpond}\nprocess.exit(0);\n${task("a")}`,
      /^task\.ts:3: it called process\.exit\(0\): a task file only defines its task$/,
    ],
    [
      "process.exit in a worker thread",
      `${millpond}import { isMainThread } from "node:worker_threads";\nif (!isMainThread) process.exit(0);\n${task("a")}`,
      /^task\.ts:3: it called process\.exit\(0\)/,
    ],
    [
      "an import that hangs in a worker thread",
      `${millpond}import { isMainThread } from "node:worker_threads";\nif (!isMainThread) await new Promise(() => {});\n${task("a")}`,
      /^task\.ts:3: its top-level await waits for something that never comes$/,
    ],
    [
      "top-level await that never settles",
      `${millpond}await new Promise(() => {});\n${task("a")}`,
      /^task\.ts:2: its top-level await waits for something that never comes$/,
    ],
    [
      "a default export without defineTask",
      'export default { name: "a", pool: "cpu", run: () => 1 };',
      /^task\.ts:1: its default export is an object and no task: write `export default defineTask/,
    ],
    [
      "a task that is not the default export",
      `${millpond}export const task = defineTask({ name: "a", pool: "cpu", run: () => 1 });`,
      /^task\.ts:2: it exports a task as `task` and not as its default/,
    ],
    [
      "a generator",
      millpond + task("a", "run: async function* () { yield 1; } as never"),
      /^task\.ts:2: its `run` is a generator, .*return a list/,
    ],
    [
      "no pool",
      `${millpond}export default defineTask({ name: "a", run: () => 1 } as never);`,
      /^task\.ts:2: it names no `pool`; there are: cpu, io$/,
    ],
    [
      "a name with spaces",
      millpond + task("Send Email"),
      /^task\.ts:2: the name "Send Email" is not 1 to 100 characters/,
    ],
    [
      "an unknown option",
      millpond + task("a", "\ntimeout: 5000, run: () => 1"),
      /^task\.ts:3: it has an unknown option `timeout`: did you mean `timeoutMs`\?$/,
    ],
    [
      "an unknown option of retry",
      millpond + task("a", "retry: { maxAttempt: 2 } as never, run: () => 1"),
      /^task\.ts:2: .*`retry\.maxAttempt`: did you mean `maxAttempts`\?$/,
    ],
    [
      "settings that are no data",
      millpond + task("a", "settings: () => ({ f: () => 1 }) as never, run: () => 1"),
      /^task\.ts:2: its `settings` returned something that is not plain data/,
    ],
  ];
  const helpers = {
    "lib/helper.ts": "export const h = 1;",
    "lib/index.ts": "export const h = 1;",
    "lib/throws.ts": '\nthrow new Error("from within");',
    "data.json": "{}",
    "node_modules/needs/package.json": '{ "main": "main.js" }',
    "node_modules/needs/main.js": '// CommonJS\nexports.deep = require("@not/there/deep");',
    "node_modules/half/package.json": '{ "main": "missing.js" }',
    "node_modules/named/package.json": '{ "type": "module", "main": "main.js" }',
    "node_modules/named/main.js": "export const named = 1;",
    "node_modules/addon/package.json": '{ "main": "main.node" }',
    "node_modules/addon/main.node": "made for another machine",
  };
  for (const [what, text, said] of rows) {
    test(what, async (t) => {
      const [only = "", ...others] = await faults(t, { "task.ts": text, ...helpers });
      assert.match(only, said);
      assert.deepEqual(others, []);
    });
  }

  test("a syntax error in JavaScript, for which Node.js alone has no line", async (t) => {
    const [only = ""] = await faults(t, { "task.mjs": `${millpond}\nexport default defineTask({ run( => 1 });` });
    assert.match(only, /^task\.mjs:3: a syntax error: Unexpected token '=>'$/);
  });

  for (const [what, text] of [
    ["an import that waits too long", "await new Promise((resolve) => setTimeout(resolve, 3_600_000));"],
    ["an import that waits with a handle open", "setInterval(() => {}, 1000);\nawait new Promise(() => {});"],
    ["an import that loops", "for (;;);"],
  ] as const) {
    test(`${what} is given up after taskLoadMs, and named`, async (t) => {
      const [only = ""] = await faults(t, { "task.ts": `${millpond}${text}\n${task("a")}` }, { loadMs: 1_000 });
      assert.match(only, /^task\.ts(:\d)?: its import takes longer than 1000 ms \(taskLoadMs\)/);
    });
  }

  test("two tasks of one name", async (t) => {
    const [only = ""] = await faults(t, { "a.ts": good("same"), "b.ts": good("same") });
    assert.match(only, /^b\.ts: a task named "same" is already in a\.ts: rename one$/);
  });

  test("every file that is wrong is listed, also behind one that ended its thread", async (t) => {
    const files = {
      "a.ts": "process.exit(1);",
      "b.ts": good(),
      "c.ts": "throw new Error('c');",
      "d.ts": "process.exit(2);",
    };
    assert.deepEqual(await faults(t, files), [
      "a.ts:1: it called process.exit(1): a task file only defines its task",
      "c.ts:1: its import threw: c",
      "d.ts:1: it called process.exit(2): a task file only defines its task",
    ]);
  });
});
