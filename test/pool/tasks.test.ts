import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { StartError } from "../../src/errors.ts";
import { defaultRetryPolicy } from "../../src/job/backoff.ts";
import { loadTasks, type TaskSources } from "../../src/pool/tasks.ts";

const api = JSON.stringify(new URL("../../src/pool/task.ts", import.meta.url).href);

/** A task file with these properties, as source text. */
const task = (properties: string) =>
  `import { defineTask } from ${api}; export default defineTask({ pool: "cpu", run() {}, ${properties} });`;

async function folderOf(t: TestContext, files: { readonly [name: string]: string }): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "millpond-tasks-"));
  t.after(() => rm(folder, { recursive: true }));
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text)));
  return folder;
}

async function load(t: TestContext, files: { readonly [name: string]: string }, sources: Partial<TaskSources> = {}) {
  const folder = await folderOf(t, files);
  return loadTasks({ folders: [folder], pools: ["cpu", "io"], settings: {}, ...sources });
}

/** The lines of the error that refuses these files. */
async function mistakes(
  t: TestContext,
  files: { readonly [name: string]: string },
  sources: Partial<TaskSources> = {},
) {
  const error = await load(t, files, sources).then(
    () => assert.fail("the files were loaded"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof StartError, String(error));
  assert.equal(error.exitCode, 2);
  return error.message.split("\n  ").slice(1);
}

describe("task files", () => {
  test(".ts, .js and .mjs are loaded; other files, types and subfolders are not", async (t) => {
    const tasks = await load(t, {
      "b.ts": task(`name: "in-ts"`),
      "a.js": task(`name: "in-js"`),
      "c.mjs": task(`name: "in-mjs"`),
      "d.d.ts": "export {};",
      "notes.md": "no code",
    });
    assert.deepEqual([...tasks.keys()], ["in-js", "in-ts", "in-mjs"]);
  });

  test("several folders are loaded together", async (t) => {
    const first = await folderOf(t, { "a.ts": task(`name: "one"`) });
    const tasks = await load(t, {}, { folders: [first, await folderOf(t, { "a.ts": task(`name: "two"`) })] });
    assert.deepEqual([...tasks.keys()], ["one", "two"]);
  });

  test("a folder that is not there is named", async () => {
    const missing = join(tmpdir(), "millpond-no-such-folder");
    await assert.rejects(
      loadTasks({ folders: [missing], pools: [], settings: {} }),
      (error) => error instanceof StartError && error.exitCode === 2 && error.message.includes(missing),
    );
  });

  test("a retry policy is the default one with the task's own values", async (t) => {
    const tasks = await load(t, { "a.ts": task(`name: "a", retry: { maxAttempts: 9, jitter: "none" }`) });
    assert.deepEqual(tasks.get("a")?.retry, { ...defaultRetryPolicy, maxAttempts: 9, jitter: "none" });
  });
});

describe("a timeout", () => {
  for (const [given, expected] of [
    ["", 3_600_000],
    ["timeoutMs: 1", 1],
    ["timeoutMs: 604_800_000", 604_800_000],
  ] as const) {
    test(`${given || "that is not given"} is ${expected} ms`, async (t) => {
      const tasks = await load(t, { "a.ts": task(`name: "a", ${given}`) });
      assert.equal(tasks.get("a")?.timeoutMs, expected);
    });
  }
});

test("a retry policy may be at its limits", async (t) => {
  const year = 365 * 24 * 3_600_000;
  const limits = { maxAttempts: 100, baseMs: year, maxBackoffMs: year, factor: 100 };
  const tasks = await load(t, { "a.ts": task(`name: "a", retry: ${JSON.stringify(limits)}`) });
  assert.deepEqual(tasks.get("a")?.retry, { ...defaultRetryPolicy, ...limits });
});

describe("one bad file", () => {
  for (const [what, text, said] of [
    ["a syntax error", "export default {", /Unexpected/],
    ["an import that is missing", `import "./nothing.ts"; ${task(`name: "a"`)}`, /nothing\.ts/],
    ["no default export", "export const a = 1;", /default export is not a task/],
    ["a default export that is no task", "export default { name: 'a', pool: 'cpu', run() {} };", /not a task/],
    ["no name", task(""), /the name "undefined"/],
    ["a name with capitals", task(`name: "Resize"`), /the name "Resize"/],
    ["a name of 101 characters", task(`name: "${"a".repeat(101)}"`), /the name/],
    ["no run", task(`name: "a", run: undefined`), /no function `run`/],
    ["an unknown pool", task(`name: "a", pool: "gpu"`), /pool "gpu" is not configured; there are: cpu, io/],
    ["no attempts", task(`name: "a", retry: { maxAttempts: 0 }`), /retry\.maxAttempts is 0/],
    ["half an attempt", task(`name: "a", retry: { maxAttempts: 1.5 }`), /retry\.maxAttempts is 1\.5/],
    ["too many attempts", task(`name: "a", retry: { maxAttempts: 101 }`), /retry\.maxAttempts is 101/],
    ["a negative delay", task(`name: "a", retry: { baseMs: -1 }`), /retry\.baseMs is -1/],
    ["a delay that is text", task(`name: "a", retry: { baseMs: "100" as never }`), /retry\.baseMs is 100/],
    ["a shrinking delay", task(`name: "a", retry: { factor: 0.5 }`), /retry\.factor is 0\.5/],
    ["an endless factor", task(`name: "a", retry: { factor: Infinity }`), /retry\.factor is Infinity/],
    ["an endless cap", task(`name: "a", retry: { maxBackoffMs: Infinity }`), /retry\.maxBackoffMs is Infinity/],
    ["a delay of more than a year", task(`name: "a", retry: { baseMs: 31536000001 }`), /baseMs .* 0 to 31536000000/],
    ["a cap of more than a year", task(`name: "a", retry: { maxBackoffMs: 31536000001 }`), /retry\.maxBackoffMs is/],
    ["half a millisecond", task(`name: "a", retry: { baseMs: 0.5 }`), /retry\.baseMs is 0\.5 and must be a whole/],
    ["a factor above 100", task(`name: "a", retry: { factor: 100.5 }`), /factor is 100\.5 .* from 1 to 100/],
    ["no time", task(`name: "a", timeoutMs: 0`), /timeoutMs is 0 and must be a whole number from 1 to 604800000/],
    ["more than a week", task(`name: "a", timeoutMs: 604800001`), /timeoutMs is 604800001/],
    ["half a millisecond of time", task(`name: "a", timeoutMs: 1.5`), /timeoutMs is 1\.5/],
    ["a timeout that is text", task(`name: "a", timeoutMs: "1000" as never`), /timeoutMs is 1000/],
    ["an unknown jitter", task(`name: "a", retry: { jitter: "half" as never }`), /retry\.jitter is half/],
    ["settings that refuse", task(`name: "a", settings() { throw new Error("root is missing"); }`), /root is missing/],
    ["settings that are no data", task(`name: "a", settings: () => ({ open() {} })`), /not plain data/],
  ] as const) {
    test(`${what}: the message names the file`, async (t) => {
      const [only, ...others] = await mistakes(t, { "bad.ts": text });
      assert.match(only ?? "", /^\/.*bad\.ts: /);
      assert.match(only ?? "", said);
      assert.deepEqual(others, []);
    });
  }
});

describe("several mistakes", () => {
  test("all are listed in one error", async (t) => {
    const lines = await mistakes(t, {
      "a.ts": "export {",
      "b.ts": task(`name: "fine"`),
      "c.ts": task(`name: "c", pool: "gpu"`),
    });
    assert.equal(lines.length, 2);
    assert.match(lines[0] ?? "", /a\.ts: /);
    assert.match(lines[1] ?? "", /c\.ts: /);
  });

  test("settings for tasks that do not exist are, each of them, when every file is good", async (t) => {
    const settings = { gone: {}, a: {}, lost: {} };
    const lines = await mistakes(t, { "a.ts": task(`name: "a", settings: () => 1`) }, { settings });
    assert.deepEqual(
      lines.map((line) => line.split(":")[0]),
      ["tasks.gone", "tasks.lost"],
    );
  });

  test("of two tasks with one name the second is refused, and both files are named", async (t) => {
    const [line = ""] = await mistakes(t, { "a.ts": task(`name: "same"`), "b.ts": task(`name: "same"`) });
    assert.match(line, /b\.ts: a task named "same" is already in .*a\.ts/);
  });
});

describe("settings", () => {
  const reads = task(`name: "reads", settings: (given) => ({ given, width: 7 })`);

  test("are what the task makes of its section, an empty one when it is missing", async (t) => {
    const given = await load(t, { "a.ts": reads }, { settings: { reads: { root: "/pictures" } } });
    assert.deepEqual(given.get("reads")?.settings, { given: { root: "/pictures" }, width: 7 });
    const missing = await load(t, { "a.ts": reads });
    assert.deepEqual(missing.get("reads")?.settings, { given: {}, width: 7 });
  });

  test("for a task that takes none are a mistake", async (t) => {
    const [line = ""] = await mistakes(t, { "a.ts": task(`name: "a"`) }, { settings: { a: { x: 1 } } });
    assert.match(line, /a\.ts: it takes no settings, but tasks\.a is configured/);
  });

  test("are not mistaken for what every object has", async (t) => {
    const tasks = await load(t, { "a.ts": task(`name: "constructor"`) });
    assert.equal(tasks.get("constructor")?.settings, undefined);
  });
});
