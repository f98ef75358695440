import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readDatabases } from "../../../src/tasks/db/settings.ts";
import { secretOf } from "../../../src/tasks/settings/secret.ts";

const variable = "MILLPOND_TEST_PASSWORD";

test("settings have defaults", () => {
  const { users } = readDatabases({
    users: { sqlite: "./users.sqlite", statements: { all: { sql: "select * from users" } } },
  });

  assert.deepEqual(users, {
    location: { dialect: "sqlite", path: "./users.sqlite" },
    connections: 10,
    connectMs: 5_000,
    idleMs: 60_000,
    statements: {
      all: {
        sql: "select * from users",
        names: [],
        parameters: {},
        maxRows: 1000,
        timeoutMs: 30_000,
        unknownOutcome: "retry",
      },
    },
  });
});

test("PostgreSQL is spoken to with TLS, but for loopback and sockets", () => {
  const tlsOf = (host: string) => {
    const { one } = readDatabases({ one: { postgres: { host, database: "d", user: "u" } } });
    return one?.location.dialect === "postgres" ? one.location.tls : undefined;
  };

  assert.equal(tlsOf("db.example"), "on");
  for (const host of ["localhost", "127.0.0.1", "::1", "/run/postgresql"]) assert.equal(tlsOf(host), "off", host);
});

test("every mistake is in one error, with its path", (t) => {
  const wrong = {
    Bad: { sqlite: "x" },
    both: { sqlite: "x", postgres: { host: "h", database: "d", user: "u" } },
    memory: { sqlite: ":memory:" },
    empty: { postgres: {} },
    pg: {
      postgres: { host: "db.example", user: "u", tls: "off", passwordEnv: variable, port: 0, caFile: "/not/there" },
      connections: 0,
      statements: {
        one: { sql: "select $a, $b, $job_id", parameters: { a: "string", c: "text", job_id: "text" }, maxrows: 1 },
        two: {},
        three: { sql: "select 1; select 2" },
      },
    },
  };
  process.env[variable] = "secret canary";
  t.after(() => delete process.env[variable]);

  assert.throws(
    () => readDatabases(wrong),
    ({ message }: Error) => {
      for (const part of [
        "Bad is not a valid name",
        "both.sqlite or postgres must be set, but not both",
        "memory.sqlite is :memory:",
        "pg.postgres.database is missing",
        'pg.postgres.tls is "off", so rows would be sent unencrypted from another machine',
        "pg.postgres.port is 0 and must be a whole number from 1 to 65535",
        "pg.postgres.caFile is another text and must be a file that can be read: ENOENT",
        "pg.connections is 0",
        "pg.statements.one.parameters.a is another text and must be one of text,",
        "empty.postgres.host is missing",
        "pg.statements.one.parameters.job_id is set by the server",
        "pg.statements.one.parameters.c is not in the SQL",
        "pg.statements.one.sql uses $b, whose type",
        "pg.statements.one.maxrows is not a setting",
        "pg.statements.two.sql is missing",
        "pg.statements.three.sql cannot be used: it holds more than one statement",
      ]) {
        assert.ok(message.includes(part), `${part}\nin ${message}`);
      }
      assert.ok(!message.includes("canary"));
      return true;
    },
  );
});

test("a password stays where it is: settings name its place, and it is read when it is needed", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "millpond-secret-"));
  const file = join(folder, "password");
  writeFileSync(file, "from a file\n");
  process.env[variable] = "from a variable";
  t.after(() => {
    delete process.env[variable];
    rmSync(folder, { recursive: true });
  });
  const place = { host: "127.0.0.1", database: "d", user: "u" };

  const settings = readDatabases({
    one: { postgres: { ...place, passwordEnv: variable } },
    two: { postgres: { ...place, passwordFile: file } },
  });

  assert.doesNotMatch(JSON.stringify(settings), /from a/);
  assert.equal(secretOf({ env: variable }), "from a variable");
  assert.equal(secretOf({ file }), "from a file");
  assert.throws(() => secretOf({ env: "MILLPOND_NOT_SET" }), { reason: "no_password", retryable: true });
  assert.throws(
    () => readDatabases({ one: { postgres: { ...place, passwordEnv: "MILLPOND_NOT_SET" } } }),
    /passwordEnv must be the name of an environment variable that is set/,
  );
  assert.throws(
    () => readDatabases({ one: { postgres: { ...place, passwordEnv: "a", passwordFile: file } } }),
    /both|leave one out/,
  );
});

test("no message quotes a text, which may be a URL with a password in it", () => {
  const canary = "postgres://app:c4n4ry@db.example/app?c4n4ry";
  const place = { host: "127.0.0.1", database: "d", user: "u" };
  const databaseKeys = ["sqlite", "postgres", "connections", "connectMs", "idleMs", "statements"];
  const placeKeys = ["host", "port", "database", "user", "passwordEnv", "passwordFile", "tls", "caFile"];
  const statementKeys = ["parameters", "maxRows", "timeoutMs", "unknownOutcome"];
  for (const value of [canary, { key: canary }, [canary]]) {
    const wrong = [
      value,
      ...databaseKeys.map((key) => ({ postgres: place, [key]: value })),
      ...placeKeys.map((key) => ({ postgres: { ...place, [key]: value } })),
      ...statementKeys.map((key) => ({ postgres: place, statements: { one: { sql: "SELECT 1", [key]: value } } })),
      { postgres: place, statements: { one: { sql: "SELECT $a", parameters: { a: value } } } },
    ];
    for (const one of wrong) {
      try {
        readDatabases({ one });
      } catch (error) {
        assert.doesNotMatch((error as Error).message, /c4n4ry/);
      }
    }
  }
});
