import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { job, shown } from "../try-pool.ts";
import { tryLines } from "./try-lines.ts";
import { until } from "../../support/until.ts";

suite("a resource of a thread", () => {
  test("is set up once, and kept for all jobs of all tasks that use it", async (t) => {
    const { run, setUps, server } = await tryLines(t);
    for (const task of ["line", "line-too", "line"]) assert.match(shown(await run(task, task)), /^succeeded/);
    assert.deepEqual([setUps(), server.counts.opened], [1, 1]);
  });

  test("that cannot be set up fails the attempt, to be retried; the next attempt sets up again", async (t) => {
    const { run, problem } = await tryLines(t, { setups: ["throws", "throws", "throws"] });
    const { outcome } = await run("line", 1);
    assert.ok(outcome.kind === "failed");
    const { reason, retryable, message } = outcome.failure;
    assert.deepEqual([reason, retryable], ["resource_unavailable", true]);
    assert.equal(message, 'resource "lines-out" cannot be set up: no such host');
    await until(() => problem("") === "no such host");
    while (!shown(await run("line", 2)).startsWith("succeeded"));
    await until(() => problem("") === undefined);
  });

  test("that hangs as it is set up is bounded by the attempt's timeout", async (t) => {
    const waits = "waits for its signal";
    const { pool, run, lines } = await tryLines(t, { setups: [waits, waits] });
    const [ended] = await pool.run([job("line", 1, { timeoutMs: 100 })]);
    assert.equal(shown(ended!), "timed_out 100");
    assert.match(shown(await run("line", 2)), /^succeeded/);
    assert.deepEqual(lines, [], "its thread goes on");
  });

  test("that does not stop to be set up is ended with its thread", async (t) => {
    const { pool, lines } = await tryLines(t, { setups: ["never returns"] }, { graceMs: 50 });
    const [ended] = await pool.run([job("line", 1, { timeoutMs: 100 })]);
    assert.equal(shown(ended!), "timed_out 100");
    assert.ok(lines.some(({ text }) => text.includes("did not stop when it was asked to")));
  });

  test("is torn down when the server stops", async (t) => {
    const { run, pool, server } = await tryLines(t);
    await run("line", 1);
    await pool.destroy();
    assert.equal(server.heard.at(-1), "bye");
  });

  test("is torn down when its thread ends, for it was idle", async (t) => {
    const { run, server, host } = await tryLines(t, {}, { minWorkers: 0, idleMs: 100 });
    await run("line", 1);
    await until(() => server.heard.at(-1) === "bye");
    await until(() => host.permits()[0]?.held === 0);
    assert.equal(shown(await run("line", 2)), 'succeeded json "1"');
  });

  test("whose teardown never returns has its idle thread ended after graceMs, and gives its permits back", async (t) => {
    const options = { minWorkers: 0, idleMs: 100, graceMs: 100 };
    const { run, host } = await tryLines(t, { teardown: "never returns" }, options);
    await run("line", 1);
    await until(() => host.permits()[0]?.held === 0);
  });

  test("whose teardown never returns, or throws, does not keep the server from stopping", async (t) => {
    for (const teardown of ["never returns", "throws"] as const) {
      const { run, pool, server, hostLines } = await tryLines(
        t,
        { teardown },
        { graceMs: teardown === "throws" ? 60_000 : 1_000 },
      );
      await run("line", 1);
      await pool.destroy();
      assert.equal(server.heard.at(-1), "bye");
      const warnings = hostLines.filter(({ level }) => level === "warn").map(({ text }) => text);
      assert.deepEqual(warnings, teardown === "throws" ? ["the teardown of a resource failed"] : []);
    }
  });
});
