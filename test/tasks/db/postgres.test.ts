/** A connection to a real PostgreSQL, without a server of ours. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { after, before, beforeEach, suite, test } from "node:test";
import type pg from "pg";
import { openPostgres } from "../../../src/tasks/db/postgres/connection.ts";
import type { PostgresLocation } from "../../../src/tasks/db/settings.ts";
import type { DatabaseConnection, Work } from "../../../src/tasks/db/work.ts";
import { type Postgres, startPostgres, withoutPostgres } from "../../support/postgres.ts";
import { until } from "../../support/until.ts";
import { workOf } from "./work.ts";

const never = new AbortController().signal;
const bounds = { connectMs: 60_000, signal: never };
const passwordEnv = "MILLPOND_TEST_POSTGRES";
const insert = "INSERT INTO users VALUES ($1, $2)";
const count = "SELECT count(*) AS n FROM users";

suite("a connection to PostgreSQL", { skip: withoutPostgres }, () => {
  let server: Postgres;
  let admin: pg.Client;
  /** Most tests share it. */
  let shared: DatabaseConnection;
  const run = (work: Partial<Work> & { readonly sql: string }) => shared.run(workOf(work), never);

  before(async () => {
    server = await startPostgres();
    process.env[passwordEnv] = server.password;
    admin = await server.connect();
    await admin.query(`
      CREATE TABLE users (id bigint PRIMARY KEY CHECK (id < 100), email text NOT NULL UNIQUE);
      CREATE ROLE reader LOGIN PASSWORD '${server.password}';`);
    shared = await openPostgres(place(), bounds);
  });
  beforeEach(async () => void (await admin.query("TRUNCATE users")));
  after(async () => {
    await shared.close();
    await admin.end();
    await server.stop();
    delete process.env[passwordEnv];
  });

  function place(other: Partial<PostgresLocation> = {}): PostgresLocation {
    return {
      ...{ dialect: "postgres", host: "127.0.0.1", port: server.port, database: "postgres", user: "postgres" },
      ...{ password: { env: passwordEnv }, tls: "off", ca: undefined, ...other },
    };
  }

  /** Sessions of ours, in this state. */
  async function sessions(where = "true"): Promise<number> {
    const { rows } = await admin.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'millpond' AND ${where}`,
    );
    return rows[0]?.n ?? 0;
  }

  const untilSessions = (where: string) => until(async () => (await sessions(where)) > 0);

  for (const [sql, value] of [
    ["9007199254740991::int8", 9007199254740991],
    ["9007199254740993::int8", "9007199254740993"],
    ["1.10::numeric", "1.10"],
    ["0.1::float8", 0.1],
    ["'NaN'::float4", "NaN"],
    ["true", true],
    ["null", null],
    ["'\\x00ff'::bytea", "AP8="],
    ["'ä'::text", "ä"],
    ["'2026-01-31 12:00:00.123456+05:30'::timestamptz", "2026-01-31T06:30:00.123456Z"],
    ["'2026-01-31 12:00:00+00'::timestamptz", "2026-01-31T12:00:00Z"],
    ["'infinity'::timestamptz", "infinity"],
    ["'2026-01-31 12:00:00.5'::timestamp", "2026-01-31T12:00:00.5"],
    ["'2026-01-31'::date", "2026-01-31"],
    ["'0198a3b4-0000-7000-8000-000000000001'::uuid", "0198a3b4-0000-7000-8000-000000000001"],
    [
      `'{"a": 12345678901234567.25, "b": 0.30000000000000004, "c": 1.50}'::json`,
      { a: "12345678901234567.25", b: 0.30000000000000004, c: 1.5 },
    ],
    ["'1e400'::json", "1e400"],
    [
      `'{"a": [1.0, 9007199254740993, "1234567890123456789"]}'::jsonb`,
      { a: [1, "9007199254740993", "1234567890123456789"] },
    ],
    ["'null'::json", null],
    ["array[1, 2]", "{1,2}"],
  ] as const) {
    test(`gives ${sql} as ${JSON.stringify(value)}`, async () => {
      assert.deepEqual((await run({ sql: `SELECT ${sql} AS v` })).rows, [[value]]);
    });
  }

  test("gives times and bytes the same way whatever the role is set to", async (t) => {
    await admin.query("ALTER ROLE reader SET DateStyle = 'German'; ALTER ROLE reader SET bytea_output = 'escape'");
    await admin.query("ALTER ROLE reader SET TimeZone = 'Asia/Kathmandu'");
    const other = await openPostgres(place({ user: "reader" }), bounds);
    t.after(() => other.close());

    const { rows } = await other.run(
      workOf({ sql: "SELECT '2026-01-31 12:00Z'::timestamptz AS a, '\\x00ff'::bytea AS b" }),
      never,
    );

    assert.deepEqual(rows, [["2026-01-31T12:00:00Z", "AP8="]]);
  });

  test("stops at maxRows: of more rows none is returned, and nothing is changed", async () => {
    const sql = "SELECT generate_series(1, $1::bigint)";

    assert.equal((await run({ sql, sets: [["10"]], maxRows: 10 })).rows.length, 10);
    const tooMany = { reason: "too_many_rows", retryable: false, details: { limit: 10 } };
    await assert.rejects(run({ sql, sets: [["100000000000"]], maxRows: 10 }), tooMany);
    const eleven = "INSERT INTO users SELECT i, i::text FROM generate_series(1, 11) i RETURNING id";
    await assert.rejects(run({ sql: eleven, maxRows: 10, isReadOnly: false }), tooMany);
    assert.deepEqual((await run({ sql: count })).rows, [[0]]);
  });

  test("reads no more bytes than a result can carry", async () => {
    await assert.rejects(run({ sql: "SELECT repeat('x', 5000000) AS v" }), {
      ...{ reason: "output_too_large", retryable: false },
    });
  });

  test("cuts off what is far too large before it has all of it in memory", async (t) => {
    const own = await openPostgres(place(), bounds);
    t.after(() => own.close());
    const before = process.memoryUsage.rss();

    await assert.rejects(own.run(workOf({ sql: "SELECT repeat('x', 300000000) AS v" }), never), {
      ...{ reason: "output_too_large", retryable: false },
    });

    assert.equal(own.isUsable(), false);
    assert.ok(process.memoryUsage.rss() - before < 150_000_000, "much less than the value was held");
  });

  test("fails for good where a value cannot be read, and can be used again", async () => {
    const sql = "SELECT (repeat('[', 10000) || '1234567890123456' || repeat(']', 10000))::json AS v";
    await assert.rejects(run({ sql }), { reason: "db_value_refused", retryable: false });
    assert.deepEqual((await run({ sql: "SELECT 1 AS a" })).rows, [[1]]);
  });

  test("commits nothing that a statement returns and no result can carry", async () => {
    const many = "INSERT INTO users SELECT i, i::text FROM generate_series(1, 90) i RETURNING";
    const columns = Array.from({ length: 100 }, (_, index) => `id AS a${index}`).join();
    for (const [returning, reason] of [
      ["id AS a, email AS a", "db_statement_failed"],
      [columns, "output_too_large"],
    ]) {
      await assert.rejects(run({ sql: `${many} ${returning}`, isReadOnly: false }), { reason, retryable: false });
    }
    assert.deepEqual((await run({ sql: count })).rows, [[0]]);
  });

  test("writes all sets or none, and a failure names the set and the constraint", async () => {
    const sets = [
      ["1", "a"],
      ["2", "b"],
    ];
    const work = { sql: insert, isReadOnly: false, maxRows: undefined };

    assert.equal((await run({ ...work, sets })).affected, 2);
    await assert.rejects(
      run({
        ...work,
        sets: [
          ["3", "c"],
          ["4", "a"],
        ],
      }),
      {
        ...{ reason: "db_unique_violation", retryable: false, message: /^sets\[1\]: duplicate key value/ },
        details: { set: 1, table: "users", constraint: "users_email_key" },
      },
    );
    assert.deepEqual((await run({ sql: count })).rows, [[2]]);
  });

  test("returns what a statement that writes returns, and the rows that it changed", async () => {
    const { rows, affected } = await run({ sql: `${insert} RETURNING id`, sets: [["1", "a"]], isReadOnly: false });
    assert.deepEqual([rows, affected], [[[1]], 1]);
  });

  test("prepares each statement once, also one that failed", async () => {
    const own = await openPostgres(place(), bounds);
    for (const id of ["1", "1", "2", "1"]) {
      await own.run(workOf({ sql: insert, sets: [[id, id]], isReadOnly: false }), never).catch(() => undefined);
    }
    const listed = "SELECT count(*) AS n FROM pg_prepared_statements WHERE statement LIKE 'INSERT%'";

    assert.deepEqual((await own.run(workOf({ sql: listed }), never)).rows, [[1]]);
    assert.deepEqual((await run({ sql: count })).rows, [[2]]);
    await own.close();
  });

  for (const [state, reason, retryable] of [
    ["40001", "db_conflict", true],
    ["40P01", "db_conflict", true],
    ["55P03", "db_conflict", true],
    ["57014", "db_timed_out", true],
    ["57P03", "db_unavailable", true],
    ["53100", "db_unavailable", true],
    ["XX000", "db_unavailable", true],
    ["23502", "db_not_null_violation", false],
    ["23503", "db_foreign_key_violation", false],
    ["23505", "db_unique_violation", false],
    ["23514", "db_check_violation", false],
    ["23P01", "db_exclusion_violation", false],
    ["22012", "db_value_refused", false],
    ["42501", "db_access_denied", false],
    ["42P01", "db_statement_failed", false],
    ["P0001", "db_statement_failed", false],
  ] as const) {
    test(`fails with ${reason} for SQLSTATE ${state}, and can be used again`, async () => {
      const sql = `DO $$ BEGIN RAISE EXCEPTION 'as asked' USING ERRCODE = '${state}'; END $$`;
      await assert.rejects(run({ sql, isReadOnly: false }), { reason, retryable });
      assert.ok(shared.isUsable());
    });
  }

  test("refuses to a query what writes", async () => {
    await assert.rejects(run({ sql: insert, sets: [["1", "a"]] }), { reason: "db_read_only", retryable: false });
  });

  test("fails with db_conflict where another transaction changed the row first", async (t) => {
    await admin.query(
      "INSERT INTO users VALUES (1, 'a'); ALTER ROLE reader SET default_transaction_isolation = 'serializable'",
    );
    await admin.query("GRANT ALL ON users TO reader");
    const own = await openPostgres(place({ user: "reader" }), bounds);
    t.after(() => own.close());
    await admin.query("BEGIN; UPDATE users SET email = 'b'");

    const update = own.run(workOf({ sql: "UPDATE users SET email = 'c'", isReadOnly: false }), never);
    const outcome = assert.rejects(update, { reason: "db_conflict", retryable: true });
    await untilSessions("wait_event_type = 'Lock'");
    await admin.query("COMMIT");

    await outcome;
  });

  test("ends a statement that takes longer than its timeoutMs, on the server", async () => {
    await assert.rejects(run({ sql: "SELECT pg_sleep(600)", timeoutMs: 50 }), {
      ...{ reason: "db_timed_out", retryable: true, message: /longer than its timeoutMs of 50/ },
    });
    assert.equal(await sessions("state = 'active' AND query LIKE '%pg_sleep%'"), 0);
  });

  for (const isReadOnly of [true, false]) {
    test(`ends a statement on the server when its job is cancelled (${isReadOnly ? "read" : "write"})`, async (t) => {
      const own = await openPostgres(place(), bounds);
      t.after(() => own.close());
      const stop = new AbortController();
      const outcome = assert.rejects(
        own.run(workOf({ sql: "SELECT pg_sleep(600)", isReadOnly }), stop.signal),
        /given up/,
      );
      await untilSessions("state = 'active' AND query LIKE '%pg_sleep%'");

      stop.abort(new Error("given up"));
      await outcome;

      assert.equal(await sessions("state = 'active' AND query LIKE '%pg_sleep%'"), 0);
      assert.equal(own.isUsable(), false, "a cancel that comes late could end another statement");
    });
  }

  test("is encrypted with tls, and so is the request that ends its statement", async (t) => {
    const own = await openPostgres(place({ host: "localhost", tls: "on", ca: server.certificate }), bounds);
    t.after(() => own.close());
    const sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert.deepEqual((await own.run(workOf({ sql }), never)).rows, [[true]]);
    const stop = new AbortController();
    const work = workOf({ sql: "SELECT pg_sleep(600)" });
    const outcome = assert.rejects(own.run(work, stop.signal), /given up/);
    await untilSessions("state = 'active' AND query LIKE '%pg_sleep%'");

    stop.abort(new Error("given up"));
    await outcome;

    assert.equal(await sessions("state = 'active' AND query LIKE '%pg_sleep%'"), 0);
  });

  test("with tls is not opened to a server whose certificate is not trusted, or is another's", async () => {
    for (const [other, why] of [
      [{ host: "localhost", ca: undefined }, /self-signed|SELF_SIGNED/i],
      [{ host: "127.0.0.1", ca: server.certificate }, /ERR_TLS_CERT_ALTNAME_INVALID/],
    ] as const) {
      await assert.rejects(openPostgres(place({ ...other, tls: "on" }), bounds), {
        ...{ reason: "db_unavailable", message: why },
      });
    }
  });

  test("is counted no more once it is closed", async () => {
    const before = await sessions();
    const own = await openPostgres(place(), bounds);
    assert.equal(await sessions(), before + 1);

    await own.close();

    assert.equal(await sessions(), before);
  });

  for (const [isReadOnly, what] of [
    [true, "a query"],
    [false, "a write before its commit"],
  ] as const) {
    test(`that breaks fails ${what} with db_unavailable: nothing was changed`, async () => {
      const own = await openPostgres(place(), bounds);
      const outcome = assert.rejects(own.run(workOf({ sql: "SELECT pg_sleep(600)", isReadOnly }), never), {
        ...{ reason: "db_unavailable", retryable: true },
      });
      await untilSessions("query LIKE '%pg_sleep%'");

      await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'");

      await outcome;
      await own.closed;
      assert.equal(own.isUsable(), false);
    });
  }

  test("that breaks during the commit leaves the outcome unknown, and the statement says what then", async () => {
    await admin.query(`
      CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER die AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()`);
    for (const unknownOutcome of ["retry", "dead"] as const) {
      const own = await openPostgres(place(), bounds);
      const work = workOf({ sql: insert, sets: [["1", "a"]], isReadOnly: false, unknownOutcome });

      await assert.rejects(own.run(work, never), {
        ...{ reason: "db_outcome_unknown", retryable: unknownOutcome === "retry", message: /during the commit/ },
      });
      await own.closed;
    }
    await admin.query("DROP FUNCTION die() CASCADE");
  });

  test("fails with the constraint's reason where the commit checks it", async () => {
    await admin.query("CREATE TABLE later (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    await assert.rejects(run({ sql: "INSERT INTO later VALUES (1), (1)", isReadOnly: false }), {
      ...{ reason: "db_unique_violation", retryable: false },
    });
    assert.ok(shared.isUsable());
  });

  test("that prepared a statement before its table changed gives way to a new one", async () => {
    await admin.query("CREATE TABLE growing (a int)");
    const own = await openPostgres(place(), bounds);
    const work = workOf({ sql: "SELECT * FROM growing" });
    await own.run(work, never);
    await admin.query("ALTER TABLE growing ADD COLUMN b int");

    await assert.rejects(own.run(work, never), { reason: "db_conflict", retryable: true });

    assert.equal(own.isUsable(), false);
    await own.close();
  });

  test("is not opened with a wrong password, database or port: it is away, and no word of the password", async (t) => {
    process.env["MILLPOND_TEST_WRONG"] = "canary-in-a-coal-mine";
    t.after(() => delete process.env["MILLPOND_TEST_WRONG"]);
    for (const [wrong, why] of [
      [{ password: { env: "MILLPOND_TEST_WRONG" } }, /password authentication failed/],
      [{ database: "nowhere" }, /database "nowhere" does not exist/],
      [{ port: 1 }, /ECONNREFUSED/],
      [{ password: undefined }, /set passwordEnv or passwordFile/],
    ] as const) {
      await assert.rejects(openPostgres(place(wrong), bounds), (error: Error & { reason?: string; stack?: string }) => {
        assert.equal(error.reason, "db_unavailable");
        assert.match(error.message, why);
        assert.doesNotMatch(`${error.message}${error.stack}${JSON.stringify(error)}`, /canary/);
        return true;
      });
    }
  });

  test("is not waited for when the job is cancelled, or longer than connectMs", async (t) => {
    const mute = createServer((socket) => void socket.on("error", () => {}));
    t.after(() => mute.close());
    await once(mute.listen(0, "127.0.0.1"), "listening");
    const { port } = mute.address() as AddressInfo;
    const stop = new AbortController();
    const opening = openPostgres(place({ port }), { connectMs: 3_600_000, signal: stop.signal });
    const outcome = assert.rejects(opening, /given up/);

    stop.abort(new Error("given up"));

    await outcome;
    await assert.rejects(openPostgres(place({ port }), { connectMs: 50, signal: never }), {
      message: "is unavailable: no answer within connectMs (50 ms)",
    });
  });
});
