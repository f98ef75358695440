import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { createIsolatedPool } from "../../../src/pool/isolated/pool.ts";
import { createRelay, createRelayEnd } from "../../../src/pool/isolated/resource-relay.ts";
import { createResourceHost } from "../../../src/pool/resources/host.ts";
import { keptLog } from "../../support/samples.ts";
import { until } from "../../support/until.ts";
import { collecting, job, maxOutputBytes, shown, tryPool } from "../try-pool.ts";
import { tryLines } from "./try-lines.ts";

suite("permits", () => {
  test("there are never more connections open than permits, over the threads of all pools", async (t) => {
    const { pool, server, shared } = await tryLines(t, { connections: 2 }, { maxWorkers: 2 });
    const other = tryPool(t, { ...shared, maxWorkers: 2 });
    const outcomes: string[] = [];
    const lane = async (own: typeof pool) => {
      for (let count = 0; count < 50; count += 1) outcomes.push(...(await own.run([job("line", count)])).map(shown));
    };
    const begunMs = performance.now();
    await Promise.all([pool, pool, other.pool, other.pool].map(lane));
    const slices = (performance.now() - begunMs) / 250; // a permit stays with its thread for 250 ms at least
    assert.equal(outcomes.filter((each) => each.startsWith("succeeded")).length, 200);
    assert.equal(server.counts.mostOpen, 2);
    assert.ok(server.counts.opened <= 2 * (slices + 1), `${server.counts.opened} opened in ${slices} slices`);
  });

  test("those of a thread that exits, or is ended, go back", async (t) => {
    const { run, pool, server } = await tryLines(t, {}, { maxWorkers: 2, graceMs: 10 });
    assert.equal(shown(await run("line", "exit")), "failed worker_died");
    const blocked = job("line", "block", { timeoutMs: 5_000 });
    const running = pool.run([blocked]);
    await until(() => server.heard.includes("block"));
    const waiting = run("line", "next");
    pool.cancel(blocked.seq);
    assert.deepEqual([(await running).map(shown), shown(await waiting)], [["cancelled"], 'succeeded json "1"']);
  });

  test("an attempt that is asked to stop waits for none any longer, and leaves its place", async (t) => {
    const { run, pool, host, server } = await tryLines(t, {}, { maxWorkers: 2 });
    const [holds, waits] = [job("line", "wait"), job("line", "x")];
    const holding = pool.run([holds]);
    await until(() => server.heard.includes("wait"));
    const waiting = pool.run([waits]);
    await until(() => host.permits()[0]?.waiting === 1);
    pool.cancel(waits.seq);
    assert.deepEqual((await waiting).map(shown), ["cancelled"]);
    await until(() => host.permits()[0]?.waiting === 0);
    pool.cancel(holds.seq);
    await holding;
    assert.match(shown(await run("line", "y")), /^succeeded/);
  });

  test("a suspect's process gets those of the server, and gives them back when it is killed", async (t) => {
    const { run, server, host, tasks } = await tryLines(t);
    const isolated = createIsolatedPool({
      ...{ name: "tried", work: "io", loadMs: 60_000, graceMs: 5_000, maxProcesses: 1, clock: systemClock },
      ...{ resourceHost: host, code: () => ({ tasks, sources: null }) },
      ...{ log: keptLog().log, outputBounds: { maxBytes: maxOutputBytes, maxValues: 1_000 } },
    });
    t.after(() => isolated.destroy());
    assert.match(shown(await run("line", "first")), /^succeeded/);
    const suspect = job("line", "wait");
    const running = collecting(isolated).run([suspect]);
    await until(() => server.heard.includes("wait")); // the idle line of the thread was given up for it
    assert.deepEqual(host.permits(), [
      { resource: "lines-out", permits: "connections", limit: 1, held: 1, waiting: 0 },
    ]);
    assert.equal(server.counts.mostOpen, 1);
    await isolated.destroy();
    assert.deepEqual((await running).map(shown), ["released"]);
    await until(() => host.permits()[0]?.held === 0);
    assert.match(shown(await run("line", "last")), /^succeeded/);
  });

  test("a suspect's process that is gone gets none for what it sent before its end", () => {
    const resources = [{ name: "lines-out", permits: { connections: 1 }, settings: null, hasProbe: false }];
    const host = createResourceHost({ resources, clock: systemClock, log: keptLog().log, onChanged() {} });
    const end = createRelayEnd("tried", host, () => {});
    end.close();
    end.receive({ kind: "joined", thread: 1, uses: [] });
    const message = { kind: "acquire", resource: "lines-out", permits: "connections", number: 1 } as const;
    end.receive({ kind: "resource", thread: 1, message });
    assert.equal(host.permits()[0]?.held, 0);
  });

  test("a problem that a suspect's process reported is forgotten when it ends and no thread uses the resource", () => {
    const resources = [{ name: "lines-out", permits: { connections: 1 }, settings: null, hasProbe: false }];
    const host = createResourceHost({ resources, clock: systemClock, log: keptLog().log, onChanged() {} });
    const end = createRelayEnd("tried", host, () => {});
    const process = createRelay(end.receive);
    const member = process.join({ pool: "tried", uses: ["lines-out"], probed: [], send() {} });
    member.receive({ kind: "report", resource: "lines-out", part: "", problem: "it is away" });
    assert.equal(host.parts()[0]?.problem, "it is away");
    end.close();
    assert.equal(host.parts()[0]?.problem, undefined);
  });
});
