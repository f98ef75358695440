import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { createSignal } from "../../src/lifecycle.ts";
import { job, shown, tryPool, untypedTasks } from "./try-pool.ts";

const late = (name: string) => ({ ...untypedTasks.find((task) => task.name === name)!, isLoadedLate: true });

suite("a task that is loaded late", () => {
  test("runs, also where two jobs of a thread are its first", async (t) => {
    const { pool } = tryPool(t, { concurrency: 2, tasks: [late("echo"), late("schema")] });
    const chunks = [
      [job("echo", 1), job("schema", {}), job("echo", 2)],
      [job("echo", 3), job("echo", 4)],
    ];
    const ended = await Promise.all(chunks.map((leases) => pool.run(leases)));
    assert.deepEqual(ended.flat().map(shown), [
      "succeeded json 1",
      `succeeded json {"day":"2026-01-01T00:00:00.000Z","items":[8]}`,
      ...["succeeded json 2", "succeeded json 3", "succeeded json 4"],
    ]);
  });

  test("is not imported before its first job, and if that fails the thread ends and its jobs are released", async (t) => {
    const missing = { ...late("waits"), file: new URL("./tasks/missing.ts", import.meta.url).href };
    const ready = createSignal();
    const { pool, run, lines } = tryPool(t, { tasks: [late("echo"), missing], onReady: ready.fire });
    await ready.promise;
    assert.equal(shown(await run("echo", 1)), "succeeded json 1");
    const [before, ended] = await pool.run([job("echo", 2), job("waits", "finish")]);
    assert.deepEqual(
      [before, ended].map((each) => each && shown(each)),
      ["succeeded json 2", "released"],
    );
    assert.ok(lines.some(({ fields }) => JSON.stringify(fields).includes("missing.ts")));
    assert.equal(shown(await run("echo", 3)), "succeeded json 3");
  });
});
