/** Schemas of users' tasks, checked at submit in the checker's thread. */
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import type { JsonValue } from "../../../src/job/job.ts";
import { loadTasks } from "../../../src/pool/tasks.ts";
import { type Files, packageLink, sourcesOf } from "../try-folder.ts";

/** Long enough for any check but one that never ends, on a busy machine too. */
const checkMs = 1_000;

async function loadFiles(t: TestContext, files: Files) {
  const loaded = await loadTasks(await sourcesOf(t, files, { checkMs }));
  t.after(() => loaded.stop());
  /** The reason and the violations of each input; null where nothing is wrong. */
  const check = async (task: string, ...inputs: readonly JsonValue[]) => {
    const bytes = inputs.map((each) => new TextEncoder().encode(JSON.stringify(each)));
    const checked = bytes.map((each) => ({ task, input: { kind: "json", type: "", bytes: each } as const }));
    const errors = await loaded.checks.check(checked, { client: "ada", signal: undefined });
    return errors.map(
      (error) => error && (error.violations.length > 0 ? error.violations : [error.reason, error.message]),
    );
  };
  return { ...loaded, check };
}

const inZod = (more = "") => `import { defineTask } from "millpond";
import * as z from "zod";
export default defineTask({
  name: "zod.task",
  pool: "cpu",
  input: z.object({ width: z.coerce.number().max(9), items: z.array(z.object({ name: z.string() })).default([]) }),
  ${more}
  run: () => 1,
});`;

suite("at submit", { concurrency: 2 }, () => {
  test("an input that does not fit to the schema is refused, with the path of each field from the job", async (t) => {
    const { tasks, check } = await loadFiles(t, { "node_modules/zod": packageLink("zod"), "a.ts": inZod() });
    assert.equal(tasks.get("zod.task")?.hasCheck, true);
    assert.equal(tasks.get("zod.task")?.inputShape?.vendor, "zod");
    const [good, bad, list] = await check("zod.task", { width: "3" }, { width: 10, items: [{}] }, []);
    assert.equal(good, null);
    assert.deepEqual(fieldsIn(bad), ["input.width", "input.items[0].name"]);
    assert.deepEqual(fieldsIn(list), ["input"]);
  });

  test("the check sees what the schema made of the input, and nothing that the schema refuses", async (t) => {
    const more = "check: ({ width, items }) => [{ field: '', description: typeof width + items.length }],";
    const { check } = await loadFiles(t, { "node_modules/zod": packageLink("zod"), "a.ts": inZod(more) });
    const [seen, refused] = await check("zod.task", { width: "3" }, { width: 10 });
    assert.deepEqual(seen, [{ field: "input", description: "number0" }]);
    assert.deepEqual(fieldsIn(refused), ["input.width"]);
  });

  test("the root of a list has no name in a path", async (t) => {
    const task = `import { defineTask } from "millpond";
      export default defineTask({ name: "list", pool: "cpu", input: { type: "array", items: { type: "string" } }, run: () => 1 });`;
    const { check } = await loadFiles(t, { "a.ts": task });
    assert.deepEqual(await check("list", ["a", 1]), [[{ field: "input[1]", description: "must be string" }]]);
  });

  test("a pattern that never comes to an end costs its own job, and the others are checked", async (t) => {
    const task = `import { defineTask } from "millpond";
      export default defineTask({ name: "slow", pool: "cpu", input: { type: "string", pattern: "^(a+)+$" }, run: () => 1 });`;
    const { check } = await loadFiles(t, { "a.ts": task });
    const [hostile, good] = await check("slow", `${"a".repeat(60)}!`, "aaa");
    assert.match(JSON.stringify(hostile), /check_failed.*took longer than 1000 ms \(taskCheckMs\)/);
    assert.equal(good, null);
  });

  test("a schema that waits for this value only refuses the job and says so; what it throws is a violation", async (t) => {
    const task = `import { defineTask } from "millpond";
      const validate = (value) => {
        if (value === "throw") throw new RangeError("out of range");
        if (value === "nothing") return { issues: [] };
        return value === "wait" ? Promise.resolve({ value }) : { value };
      };
      const input = { "~standard": { version: 1, vendor: "own", validate } };
      export default defineTask({ name: "own", pool: "cpu", input, run: () => 1 });`;
    const { check } = await loadFiles(t, { "a.mjs": task });
    const [good, waits, throws, nothing] = await check("own", "good", "wait", "throw", "nothing");
    assert.equal(good, null);
    assert.match(JSON.stringify(waits), /check_failed.*its `input` is asynchronous: leave out what waits/);
    assert.match(JSON.stringify(nothing), /check_failed.*its `input` returned `issues` that list nothing/);
    assert.deepEqual(throws, [{ field: "input", description: "out of range" }]);
  });

  test("what a hostile schema says of an input is bounded", async (t) => {
    const task = `import { defineTask } from "millpond";
      const issues = Array.from({ length: 1000 }, () => ({ message: "x".repeat(1e5), path: ["y".repeat(1e5)] }));
      const input = { "~standard": { version: 1, vendor: "own".repeat(1e5), validate: (value) => ({ issues }) } };
      export default defineTask({ name: "own", pool: "cpu", input, run: () => 1 });`;
    const { check, tasks } = await loadFiles(t, { "a.mjs": task });
    const [violations] = await check("own", 1);
    assert.equal(fieldsIn(violations).length, 20);
    assert.ok(JSON.stringify(violations).length < 30_000);
    assert.ok(JSON.stringify(tasks.get("own")?.inputShape).length < 1_000);
  });
});

function fieldsIn(violations: unknown): readonly string[] {
  return (violations as readonly { field: string }[]).map(({ field }) => field);
}
