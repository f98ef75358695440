import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { job, shown } from "../try-pool.ts";
import { tryLines } from "./try-lines.ts";

suite("a pool whose tasks share a resource", () => {
  test("a thread sets it up once, and keeps it for all its jobs of all tasks that use it", async (t) => {
    const { run, hostLines, server } = await tryLines(t, {}, { maxWorkers: 1 });
    const answers = [await run("line", 1), await run("line-too", 2), await run("line", 3)];
    assert.deepEqual(
      answers.map(shown).map((each) => each.replace(/json \d\d+/, "json id")),
      ['succeeded json "1"', shown(answers[1]!), 'succeeded json "3"'],
    );
    assert.equal(server.counts.opened, 1);
    assert.equal(hostLines.filter(({ text }) => text === "set up").length, 1);
  });

  test("never has more connections open than the permits, however many threads work", async (t) => {
    const { pool, server } = await tryLines(t, { connections: 2 }, { maxWorkers: 4 });
    const outcomes: string[] = [];
    const lane = async () => {
      for (let count = 0; count < 50; count += 1) outcomes.push(...(await pool.run([job("line", count)])).map(shown));
    };
    await Promise.all(Array.from({ length: 4 }, lane));
    assert.equal(outcomes.filter((each) => each.startsWith("succeeded")).length, 200);
    assert.equal(server.counts.mostOpen, 2);
  });
});
