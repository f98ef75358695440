/** `db.query`, `db.execute` and `db.batch` in worker threads, on SQLite. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, type TestContext, test } from "node:test";
import {
  DbBatchInputSchema,
  DbExecuteInputSchema,
  DbQueryInputSchema,
} from "../../../src/gen/millpond/tasks/v1/db_pb.ts";
import { until } from "../../support/until.ts";
import { children } from "../slow-resize.ts";
import { tryDatabases } from "./try-databases.ts";
import { endless } from "./work.ts";

const folder = mkdtempSync(join(tmpdir(), "millpond-db-tasks-"));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, "users.sqlite");
const database = new DatabaseSync(path);
database.exec(`
  PRAGMA journal_mode = WAL;
  CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL, seen TEXT NOT NULL);
  CREATE TABLE mails (job TEXT, place INTEGER, email TEXT, PRIMARY KEY (job, place));
  INSERT INTO users VALUES (1, 'a@example.org', '2025-01-01T00:00:00.000Z'), (2, 'b@example.org', '2026-06-01T00:00:00.000Z'),
    (3, 'c@example.org', '2024-01-01T00:00:00.000Z')`);
database.close();

const databases = {
  users: {
    sqlite: path,
    statements: {
      inactive: {
        sql: "SELECT id, email FROM users WHERE seen < $before AND id > $after ORDER BY id LIMIT $limit",
        parameters: { before: "timestamp", after: "integer", limit: "integer" },
      },
      some: {
        sql: "SELECT id FROM users WHERE id IN (SELECT value FROM json_each($ids))",
        parameters: { ids: "integer[]" },
      },
      twins: { sql: "SELECT 1 AS a, 2 AS a" },
      endless: { sql: endless.loop },
      mail: {
        sql: "INSERT INTO mails VALUES ($job_id, $set_index, $email) ON CONFLICT DO NOTHING",
        parameters: { email: "text" },
      },
      mails: { sql: "SELECT email FROM mails ORDER BY email" },
      rename: {
        sql: "UPDATE users SET email = $email WHERE id = $id RETURNING id, email",
        parameters: { email: "text", id: "integer" },
      },
    },
  },
};

async function open(t: TestContext) {
  const tried = await tryDatabases(t, databases);
  const query = async (statement: string, parameters = {}) => {
    const lease = tried.jobOf("db.query", DbQueryInputSchema, { database: "users", statement, parameters });
    const [ended] = await tried.pool.run([lease]);
    return ended && tried.outputOf(ended);
  };
  return { ...tried, query };
}

test("the tasks", async (t) => {
  const { pool, jobOf, outputOf, query, times } = await open(t);

  await t.test("db.query returns rows by the names of their columns", async () => {
    assert.deepEqual(await query("inactive", { before: "2026-01-01T00:00:00Z", after: 0, limit: 10 }), {
      columns: ["id", "email"],
      rows: [
        { id: 1, email: "a@example.org" },
        { id: 3, email: "c@example.org" },
      ],
    });
    assert.deepEqual(await query("some", { ids: [2, 3, 4] }), { columns: ["id"], rows: [{ id: 2 }, { id: 3 }] });
    assert.deepEqual(await query("some", { ids: [] }), { columns: ["id"] });
  });

  await t.test("db.query fails for good where two columns would be one, and where the statement writes", async () => {
    assert.equal(await query("twins"), "db_statement_failed");
    assert.equal(await query("rename", { id: 1, email: "x" }), "db_read_only");
    assert.equal(await query("gone"), "unknown_statement");
  });

  await t.test("db.execute changes rows and returns what the statement does", async () => {
    const parameters = { id: 2, email: "new@example.org" };

    const [ended] = await pool.run([
      jobOf("db.execute", DbExecuteInputSchema, { database: "users", statement: "rename", parameters }),
    ]);

    assert.deepEqual(ended && outputOf(ended), {
      affected: "1",
      columns: ["id", "email"],
      rows: [{ id: 2, email: "new@example.org" }],
    });
  });

  await t.test("an attempt that is repeated changes nothing twice, when the statement binds the job's id", async () => {
    const sets = [{ email: "a" }, { email: "b" }];
    const lease = jobOf("db.batch", DbBatchInputSchema, { database: "users", statement: "mail", sets });

    const first = await pool.run([lease]);
    const second = await pool.run([{ ...lease, attempt: 2, fence: 2 }]);

    assert.deepEqual([...first, ...second].map(outputOf), [{ affected: "2", sets: 2 }, { sets: 2 }]);
    assert.deepEqual(await query("mails"), { columns: ["email"], rows: [{ email: "a" }, { email: "b" }] });
  });

  await t.test(
    "an endless query that times out ends with its attempt, its thread stays, and the next job runs",
    async () => {
      const lease = jobOf(
        "db.query",
        DbQueryInputSchema,
        { database: "users", statement: "endless" },
        { timeoutMs: 500 },
      );

      const [ended] = await pool.run([lease]);

      assert.equal(ended?.outcome.kind, "timed_out");
      assert.equal(times("a job did not stop when it was asked to: its worker is terminated"), 0);
      assert.deepEqual(await query("some", { ids: [1] }), { columns: ["id"], rows: [{ id: 1 }] });
    },
  );
});

test("one process serves all jobs of a thread, and ends with it", {
  skip: process.platform === "linux" ? false : "no /proc to look at processes",
}, async (t) => {
  const before = children();
  const { pool, query } = await open(t);

  await query("mails");
  const started = children().filter((pid) => !before.includes(pid));
  await query("mails");

  assert.equal(started.length, 1);
  assert.deepEqual(
    children().filter((pid) => !before.includes(pid)),
    started,
  );
  await pool.destroy();
  assert.deepEqual(
    children().filter((pid) => !before.includes(pid)),
    [],
  );
});

test("a database that is away is reported, its jobs may be tried again, and others are served", async (t) => {
  const away = { sqlite: join(folder, "not-there.sqlite"), statements: { one: { sql: "SELECT 1 AS a" } } };
  const { pool, jobOf, outputOf, host } = await tryDatabases(t, { ...databases, away });
  const problems = () => host.parts().filter(({ problem }) => problem !== undefined);

  const leases = ["away", "users"].map((database) =>
    jobOf("db.query", DbQueryInputSchema, { database, statement: database === "away" ? "one" : "mails" }),
  );
  const [first] = await pool.run(leases.slice(0, 1));
  const [second] = await pool.run(leases.slice(1));

  assert.equal(first && outputOf(first), "db_unavailable");
  assert.equal(second?.outcome.kind, "succeeded");
  await until(() => problems().length > 0);
  assert.deepEqual(
    problems().map(({ resource, part, problem }) => ({ resource, part, problem })),
    [{ resource: "databases", part: "away", problem: 'database "away" is unavailable: unable to open database file' }],
  );

  new DatabaseSync(away.sqlite).exec("CREATE TABLE t (a)");
  const [again] = await pool.run(leases.slice(0, 1));

  assert.deepEqual(again && outputOf(again), { columns: ["a"], rows: [{ a: 1 }] });
  await until(() => problems().length === 0);
});
