/** The database tasks in worker threads, on a real PostgreSQL, which counts their connections. */
import assert from "node:assert/strict";
import { setInterval } from "node:timers/promises";
import { suite, test, type TestContext } from "node:test";
import { DbQueryInputSchema } from "../../../src/gen/millpond/tasks/v1/db_pb.ts";
import { startPostgres, withoutPostgres } from "../../support/postgres.ts";
import { until } from "../../support/until.ts";
import { tryDatabases } from "./try-databases.ts";

const passwordEnv = "MILLPOND_TEST_POOLED";

async function open(t: TestContext, connections: number) {
  const server = await startPostgres();
  t.after(() => server.stop());
  process.env[passwordEnv] = server.password;
  t.after(() => delete process.env[passwordEnv]);
  const admin = await server.connect();
  t.after(() => admin.end());
  // the server itself refuses one connection more than the limit
  await admin.query(`CREATE ROLE pooled LOGIN PASSWORD '${server.password}' CONNECTION LIMIT ${connections}`);
  const postgres = { host: "127.0.0.1", port: server.port, database: "postgres", user: "pooled", passwordEnv };
  const statements = { one: { sql: "SELECT 1 AS a" } };
  const sessions = async (where = "true") => {
    const { rows } = await admin.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = 'pooled' AND ${where}`,
    );
    return rows[0]?.n ?? 0;
  };
  return { server, sessions, databases: { pooled: { postgres, connections, statements } } };
}

suite("PostgreSQL and worker threads", { skip: withoutPostgres }, () => {
  test("a server that was started again is served again, by connections that are new", async (t) => {
    const { server, databases } = await open(t, 3);
    const { pool, jobOf, outputOf } = await tryDatabases(t, databases);
    const input = { database: "pooled", statement: "one" };
    const run = async () => (await pool.run([jobOf("db.query", DbQueryInputSchema, input)])).map(outputOf);
    const answer = [{ columns: ["a"], rows: [{ a: 1 }] }];
    assert.deepEqual(await run(), answer);

    await server.restart();

    // the thread has the end of its connection to read
    await until(async () => JSON.stringify(await run()) === JSON.stringify(answer));
  });

  test("10,000 jobs on four threads never have more than the three connections that are configured", async (t) => {
    const { sessions, databases } = await open(t, 3);
    const { pool, jobOf, outputOf, released } = await tryDatabases(t, databases, { maxWorkers: 4, minWorkers: 4 });
    const input = { database: "pooled", statement: "one" };
    let waiting = Array.from({ length: 10_000 }, () => jobOf("db.query", DbQueryInputSchema, input));
    const outputs: string[] = [];
    const counted: number[] = [];
    const stop = new AbortController();
    const counting = (async () => {
      for await (const _ of setInterval(20, undefined, { signal: stop.signal })) counted.push(await sessions());
    })().catch(() => undefined);

    while (waiting.length > 0) {
      const chunks = waiting;
      await Promise.all(
        Array.from({ length: 4 }, async () => {
          while (chunks.length > 0)
            outputs.push(...(await pool.run(chunks.splice(-50))).map((each) => JSON.stringify(outputOf(each))));
        }),
      );
      waiting = released.splice(0); // what waited behind a slow one is run again
    }
    stop.abort();
    await counting;

    // a fourth connection would have been refused, and its job would have failed
    assert.deepEqual([outputs.length, [...new Set(outputs)]], [10_000, ['{"columns":["a"],"rows":[{"a":1}]}']]);
    assert.equal(Math.max(...counted), 3);
    await pool.destroy();
    assert.equal(await sessions(), 0);
  });
});
