/** A whole server whose tasks use databases. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { inspect } from "node:util";
import type { TestServer } from "../cli/server.ts";
import { startPostgres, withoutPostgres } from "../support/postgres.ts";
import { until } from "../support/until.ts";
import { openReceiver } from "../telemetry/receiver.ts";
import { makePlace } from "./place.ts";

/** Answers of Connect in JSON. */
type Answer = { readonly [key: string]: unknown };

function caller({ serving }: TestServer) {
  return async (method: string, body: unknown = {}, service = "millpond.v1.WorkerPoolService"): Promise<Answer> => {
    const answer = await fetch(`http://${serving.http}/${service}/${method}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return (await answer.json()) as Answer;
  };
}

test("an unknown database, statement or parameter, and a wrong type, are refused at submit by their path", async (t) => {
  const place = await makePlace(t);
  const path = join(place.folder, "users.sqlite");
  new DatabaseSync(path).exec("CREATE TABLE users (id INTEGER)");
  const statements = { one: { sql: "SELECT * FROM users WHERE id = $id", parameters: { id: "integer" } } };
  const server = await place.start([
    "--resources",
    JSON.stringify({ databases: { users: { sqlite: path, statements } } }),
  ]);
  const call = caller(server);
  const refused = async (task: string, json: object) => {
    const { message } = await call("Run", { job: { task, input: { json } } });
    return message;
  };

  const input = { database: "users", statement: "one", parameters: { id: 1 } };
  assert.deepEqual(
    await call("Run", { job: { task: "db.query", input: { json: input } } }).then(({ result }) => Boolean(result)),
    true,
  );
  for (const [task, json, why] of [
    [
      "db.query",
      { ...input, database: "orders" },
      /input\.database: is "orders", which is not configured; there are: users/,
    ],
    ["db.query", { ...input, statement: "two" }, /input\.statement: is "two", which is not configured; there are: one/],
    ["db.execute", { ...input, parameters: { id: "x" } }, /input\.parameters\.id: is "x" and must be a whole number/],
    ["db.execute", { ...input, parameters: { id: 1, name: 2 } }, /input\.parameters\.name: is no parameter/],
    ["db.batch", { ...input, parameters: undefined, sets: [{ id: 1 }, {}] }, /input\.sets\[1\]\.id: is missing/],
  ] as const) {
    assert.match(String(await refused(task, json)), why);
  }
});

test("a database that is away at the start stops nothing, Stats say so, and no password stands anywhere", {
  skip: withoutPostgres,
}, async (t) => {
  const canary = "c4n4ry";
  const postgres = await startPostgres();
  t.after(() => postgres.stop());
  const admin = await postgres.connect();
  await admin.query(`CREATE ROLE app LOGIN PASSWORD '${canary}-right'`);
  await admin.end();
  const place = await makePlace(t);
  await writeFile(join(place.folder, "password"), `${canary}-wrong\n`);
  const at = { host: "127.0.0.1", port: postgres.port, database: "postgres", user: "app" };
  const statements = { one: { sql: "SELECT 1 AS a" }, wrong: { sql: "SELECT nothing" } };
  const databases = {
    well: { postgres: { ...at, passwordEnv: "APP_PASSWORD" }, statements },
    locked: { postgres: { ...at, passwordFile: join(place.folder, "password") }, statements },
    away: { postgres: { ...at, port: 1, passwordEnv: "APP_PASSWORD" }, statements },
  };
  const receiver = await openReceiver(t);
  const flags = ["--resources", JSON.stringify({ databases }), "--log-level", "debug"];
  const server = await place.start(flags, {
    ...{ APP_PASSWORD: `${canary}-right`, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url },
    ...{ OTEL_METRICS_EXPORTER: "none", OTEL_TRACES_SAMPLER: "always_on" },
  });
  const call = caller(server);
  const said: unknown[] = [];
  const problems = async () => {
    const stats = await call("Stats");
    said.push(stats);
    const { resources } = stats["snapshot"] as {
      readonly resources: readonly { readonly parts: readonly { part?: string; problem?: string }[] }[];
    };
    return resources.flatMap(({ parts }) =>
      parts.flatMap(({ part, problem }) => (problem ? [`${part}: ${problem}`] : [])),
    );
  };

  // before any job
  await until(async () => (await problems()).length === 2);
  assert.deepEqual((await problems()).toSorted(), [
    'away: database "away" is unavailable: ECONNREFUSED',
    'locked: database "locked" is unavailable: password authentication failed for user "app"',
  ]);
  assert.equal((await fetch(`http://${server.serving.http}/readyz`)).status, 200);

  for (const [database, statement, reason] of [
    ["well", "one", undefined],
    ["well", "wrong", "db_statement_failed"],
    ["locked", "one", "db_unavailable"],
    ["away", "one", "db_unavailable"],
  ] as const) {
    const input = { json: { database, statement } };
    const answer = await call("Run", { job: { task: "db.query", input, retry: { maxAttempts: 1 } } });
    said.push(answer);
    const { failure } = (answer["result"] ?? {}) as { readonly failure?: { readonly reason: string } };
    assert.equal(failure?.reason, reason, JSON.stringify(answer));
  }
  said.push(await call("ListDeadLetters"), await call("ListJobs"), await call("ListTasks"));
  said.push(await (await fetch(`http://${server.serving.http}/metrics`)).text());

  const { stderr, stdout } = await server.signal("SIGTERM");

  const stored = globSync("**/*", { cwd: join(place.folder, "data") })
    .map((path) => join(place.folder, "data", path))
    .flatMap((path) => (path.endsWith("profiles") ? [] : [readFileSync(path).toString("latin1")]));
  for (const [what, text] of [
    ["answers", inspect(said, { depth: null, maxArrayLength: null, maxStringLength: null })],
    ["the log", stderr + stdout],
    ["spans", inspect(receiver.spans, { depth: null, maxArrayLength: null, maxStringLength: null })],
    ["the store", stored.join("\n")],
  ] as const) {
    assert.ok(text.length > 100, `there are ${what}`);
    assert.ok(!text.includes(canary), `the password stands in ${what}`);
  }
  assert.match(stored.join("\n"), /authentication failed/, "what is looked through is the store");
});
