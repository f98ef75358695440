import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { pathToFileURL } from "node:url";
import { StartError } from "../../src/errors.ts";
import { defaultRetryPolicy } from "../../src/job/backoff.ts";
import type { TaskSources } from "../../src/pool/tasks.ts";
import { loadHere } from "../support/samples.ts";

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

/** Loads these files in this thread; in task-folders.test.ts they are loaded as users' are. */
async function load(t: TestContext, files: { readonly [name: string]: string }, sources: Partial<TaskSources> = {}) {
  return (await loadHere(pathToFileURL(await folderOf(t, files)), sources)).tasks;
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
  test("several folders are loaded together", async (t) => {
    const first = await folderOf(t, { "a.ts": task(`name: "one"`) });
    const tasks = await load(t, {}, { builtIn: [first, await folderOf(t, { "a.ts": task(`name: "two"`) })] });
    assert.deepEqual([...tasks.keys()], ["one", "two"]);
  });

  test("a folder that is not there is named", async () => {
    const missing = join(tmpdir(), "millpond-no-such-folder");
    await assert.rejects(
      loadHere(pathToFileURL(missing)),
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
    [
      "a default export that is no task",
      "export default { name: 'a', pool: 'cpu', run() {} };",
      /write `export default def/,
    ],
    ["a task that is not its default", task(`name: "a"`).replace("default", "const a ="), /exports a task as `a`/],
    ["no name", task(""), /the name undefined/],
    ["a name with capitals", task(`name: "Resize"`), /the name "Resize"/],
    ["a description that is none", task(`name: "a", description: 5`), /description is 5 and must be text/],
    ["an input that is no schema", task(`name: "a", input: { typ: "object" }`), /`input` is no JSON Schema: .*"typ"$/],
    ["an output that is none either", task(`name: "a", output: "text"`), /`output` is a string: give a message type/],
    ["a check that is none", task(`name: "a", check: true`), /`check` is true and must be a function/],
    ["a policy that is none", task(`name: "a", retry: 3`), /retry is 3, not a set of options/],
    [
      "an option of another name",
      task(`name: "a", timeout: 5`),
      /unknown option `timeout`: did you mean `timeoutMs`\?$/,
    ],
    [
      "an option that nothing resembles",
      task(`name: "a", queue: 5`),
      /unknown option `queue`: there are: name, pool, /,
    ],
    ["an option in the wrong place", task(`name: "a", maxAttempts: 5`), /did you mean `retry\.maxAttempts`\?$/],
    [
      "an option of the policy",
      task(`name: "a", retry: { attempts: 5 }`),
      /`retry\.attempts`: did you mean `maxAttempts`/,
    ],
    ["a name of 101 characters", task(`name: "${"a".repeat(101)}"`), /the name/],
    ["no run", task(`name: "a", run: undefined`), /no function `run`/],
    ["no pool", task(`name: "a", pool: undefined`), /it names no `pool`; there are: cpu, io/],
    ["an unknown pool", task(`name: "a", pool: "gpu"`), /pool "gpu" is not configured; there are: cpu, io/],
    ["no attempts", task(`name: "a", retry: { maxAttempts: 0 }`), /retry\.maxAttempts is 0/],
    ["half an attempt", task(`name: "a", retry: { maxAttempts: 1.5 }`), /retry\.maxAttempts is 1\.5/],
    ["too many attempts", task(`name: "a", retry: { maxAttempts: 101 }`), /retry\.maxAttempts is 101/],
    ["a negative delay", task(`name: "a", retry: { baseMs: -1 }`), /retry\.baseMs is -1/],
    ["a delay that is text", task(`name: "a", retry: { baseMs: "100" as never }`), /retry\.baseMs is "100"/],
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
    ["a timeout that is text", task(`name: "a", timeoutMs: "1000" as never`), /timeoutMs is "1000"/],
    ["an unknown jitter", task(`name: "a", retry: { jitter: "half" as never }`), /retry\.jitter is "half" and must be/],
    [
      "settings that refuse",
      task(`name: "a", settings() { throw new Error("root is missing"); }`),
      /: tasks\.a: root is missing$/, // where they stand in the configuration
    ],
    [
      "settings that come later",
      task(`name: "a", settings: async () => 1`),
      /not plain data: .*write it without `async`/,
    ],
    ["settings that are no data", task(`name: "a", settings: () => ({ open() {} })`), /not plain data/],
  ] as const) {
    test(`${what}: the message names the file and the line`, async (t) => {
      const [only, ...others] = await mistakes(t, { "bad.ts": text });
      assert.match(only ?? "", /^\/.*bad\.ts:1: /);
      assert.match(only ?? "", said);
      assert.deepEqual(others, []);
    });
  }
});

describe("several mistakes", () => {
  test("all are listed in one error", async (t) => {
    const lines = await mistakes(t, {
      "a.ts": "throw new Error();",
      "b.ts": task(`name: "fine"`),
      "c.ts": task(`name: "c", pool: "gpu"`),
    });
    assert.equal(lines.length, 2);
    assert.match(lines[0] ?? "", /a\.ts:1: /);
    assert.match(lines[1] ?? "", /c\.ts:1: /);
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
    assert.match(line, /a\.ts:1: it takes no settings, but tasks\.a is configured/);
  });

  test("are not mistaken for what every object has", async (t) => {
    const tasks = await load(t, { "a.ts": task(`name: "constructor"`) });
    assert.equal(tasks.get("constructor")?.settings, undefined);
  });
});
