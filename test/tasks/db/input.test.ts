import assert from "node:assert/strict";
import { test } from "node:test";
import { askedForEach, askedOnce, checkAsked, type Values, workOf } from "../../../src/tasks/db/input.ts";
import { defaultRetryPolicy } from "../../../src/job/backoff.ts";
import { retry } from "../../../src/tasks/db/failures.ts";
import { readDatabases } from "../../../src/tasks/db/settings.ts";

const statements = {
  add: {
    sql: "INSERT INTO events VALUES ($job_id, $set_index, $name, $ids)",
    parameters: { name: "text", ids: "integer[]?" },
    maxRows: 5,
    timeoutMs: 50,
    unknownOutcome: "dead",
  },
  all: { sql: "SELECT * FROM events" },
};
const databases = readDatabases({
  here: { sqlite: "here.sqlite", statements },
  there: { postgres: { host: "127.0.0.1", database: "d", user: "u" }, statements },
});
const jobId = "0198a3b4-0000-7000-8000-000000000001";

function faults(database: string, statement: string, parameters?: Values) {
  return checkAsked(askedOnce({ database, statement, parameters }), databases).map(
    ({ field, description }) => `${field} ${description}`,
  );
}

test("an input that is right has no violations", () => {
  assert.deepEqual(faults("here", "add", { name: "a", ids: [1, 2] }), []);
  assert.deepEqual(faults("here", "all"), []);
});

test("an unknown database, statement or parameter is refused by its path, with those that there are", () => {
  assert.deepEqual(faults("", "add"), ["database is missing"]);
  assert.deepEqual(faults("nowhere", "add"), [
    'database is "nowhere", which is not configured; there are: here, there',
  ]);
  assert.deepEqual(faults("constructor", "add").length, 1);
  assert.deepEqual(faults("here", "drop"), ['statement is "drop", which is not configured; there are: add, all']);
  assert.deepEqual(faults("here", "add", { name: "a", nam: 1, job_id: "x" }), [
    "parameters.nam is no parameter of the statement, which has: name, ids",
    "parameters.job_id is set by the server: leave it out",
  ]);
  assert.deepEqual(faults("here", "all", { a: 1 }), ["parameters.a is no parameter of the statement, which has: none"]);
});

test("a parameter that is missing, null or of another type is refused by its path", () => {
  assert.deepEqual(faults("here", "add", { ids: [1, "x"] }), [
    "parameters.name is missing",
    'parameters.ids[1] is "x" and must be a whole number of 64 bits, as text beyond 9007199254740991',
  ]);
  assert.deepEqual(faults("here", "add", { name: null }), ["parameters.name is null, and must not be"]);
});

test("each set of a batch is checked, and there is at least one", () => {
  const check = (sets: readonly Values[]) =>
    checkAsked(askedForEach({ database: "here", statement: "add", sets }), databases).map(({ field }) => field);

  assert.deepEqual(check([]), ["sets"]);
  assert.deepEqual(check([{ name: "a" }, { name: 1 }, {}]), ["sets[1].name", "sets[2].name"]);
  assert.equal(check(Array.from({ length: 1000 }, () => ({}))).length, 20);
});

test("the work has what the statement is bounded by, and values by number, the job's own among them", () => {
  const asked = (database: string) =>
    askedForEach({ database, statement: "add", sets: [{ name: "a", ids: [7] }, { name: "b" }] });

  const here = workOf(asked("here"), databases, jobId);
  const there = workOf(asked("there"), databases, jobId);

  assert.deepEqual(here, {
    ...{ sql: "INSERT INTO events VALUES (?1, ?2, ?3, ?4)", isReadOnly: false },
    ...{ maxRows: 5, timeoutMs: 50, unknownOutcome: "dead" },
    sets: [
      [jobId, 0n, "a", "[7]"],
      [jobId, 1n, "b", null],
    ],
  });
  assert.equal(there.sql, "INSERT INTO events VALUES ($1, $2, $3, $4)");
  assert.deepEqual(there.sets, [
    [jobId, "0", "a", '{"7"}'],
    [jobId, "1", "b", null],
  ]);
});

test("a job that is older than the configuration fails for good, and says why", () => {
  for (const [database, statement, parameters, reason] of [
    ["gone", "add", {}, "unknown_database"],
    ["here", "gone", {}, "unknown_statement"],
    ["here", "add", {}, "bad_parameters"],
  ] as const) {
    assert.throws(() => workOf(askedOnce({ database, statement, parameters }), databases, jobId), {
      ...{ reason, retryable: false },
    });
  }
});

test("by default a job outlives a database that is away for a minute or two", () => {
  const { maxAttempts, baseMs, maxBackoffMs, factor } = { ...defaultRetryPolicy, ...retry };
  const pauses = Array.from({ length: maxAttempts - 1 }, (_, index) =>
    Math.min(baseMs * factor ** index, maxBackoffMs),
  );
  const averageMs = pauses.reduce((sum, pause) => sum + pause / 2, 0); // full jitter

  assert.equal(Math.round(averageMs / 60_000), 3, "as docs/tasks/databases.md says");
});
