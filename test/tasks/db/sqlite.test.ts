/** The process that has a SQLite file open, without a server. */
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { channel } from "node:diagnostics_channel";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, beforeEach, suite, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { openSqlite } from "../../../src/tasks/db/sqlite/connection.ts";
import type { FromProcess } from "../../../src/tasks/db/sqlite/protocol.ts";
import type { Work } from "../../../src/tasks/db/work.ts";
import { cpuTicks, gone, nextChild } from "../slow-resize.ts";
import { endless, workOf } from "./work.ts";
import { until } from "../../support/until.ts";

const never = new AbortController().signal;
const connectMs = 60_000;
const skip = process.platform === "linux" ? false : "no /proc to look at processes";

const users = "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, CHECK (id < 100))";
const insert = "INSERT INTO users VALUES (?1, ?2)";
const count = "SELECT count(*) AS n FROM users";

const folder = mkdtempSync(join(tmpdir(), "millpond-sqlite-"));
let files = 0;
function newFile(schema = users): string {
  files += 1;
  const path = join(folder, `${files}.sqlite`);
  const database = new DatabaseSync(path);
  database.exec(schema);
  database.close();
  return path;
}

/** Most tests share one connection, for each costs a process. */
const path = newFile();
const shared = await openSqlite(path, { connectMs, signal: never });
const run = (work: Partial<Work> & { readonly sql: string }) => shared.run(workOf(work), never);
beforeEach(() => run({ sql: "DELETE FROM users", isReadOnly: false }));
after(async () => {
  await shared.close();
  rmSync(folder, { recursive: true });
});

async function openNew(t: TestContext, file = newFile()) {
  const connection = await openSqlite(file, { connectMs, signal: never });
  t.after(() => connection.close());
  return connection;
}

suite("rows of SQLite", () => {
  test("are JSON that says the same: large integers and infinity as text, blobs in base64", async () => {
    const answer = await run({
      sql: "SELECT 9007199254740991 AS a, 9007199254740993 AS b, 1.5 AS c, 9e999 AS d, x'00ff' AS e, NULL AS f, 'ä' AS g",
    });

    assert.deepEqual(answer.columns, ["a", "b", "c", "d", "e", "f", "g"]);
    assert.deepEqual(answer.rows, [[9007199254740991, "9007199254740993", 1.5, "Infinity", "AP8=", null, "ä"]]);
  });

  test("are no more than maxRows: of more, none is returned and nothing is changed", async () => {
    const sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?1) SELECT i FROM n";

    assert.equal((await run({ sql, sets: [[10]], maxRows: 10 })).rows.length, 10);
    await assert.rejects(run({ sql, sets: [[11]], maxRows: 10 }), {
      ...{ reason: "too_many_rows", retryable: false },
      details: { limit: 10 },
    });
    // without end, so that only one who stops reading sees the end of it
    await assert.rejects(run({ sql: endless.rows, maxRows: 10 }), { reason: "too_many_rows" });
    const two = "INSERT INTO users VALUES (1, 'a'), (2, 'b') RETURNING id";
    await assert.rejects(run({ sql: two, maxRows: 1, isReadOnly: false }), { reason: "too_many_rows" });
    assert.deepEqual((await run({ sql: count })).rows, [[0]]);
  });

  test("have no more bytes than a result can carry", async () => {
    for (const sql of ["SELECT hex(zeroblob(3000000)) AS a", "SELECT zeroblob(600000000) AS a"]) {
      await assert.rejects(run({ sql }), { reason: "output_too_large", retryable: false });
    }
  });
});

suite("writing to SQLite", () => {
  test("counts the rows, and returns what the statement does", async () => {
    const inserted = await run({ sql: `${insert} RETURNING id`, sets: [[1, "a"]], isReadOnly: false });
    const updated = await run({ sql: "UPDATE users SET id = id + 1", isReadOnly: false });

    assert.deepEqual([inserted.rows, inserted.affected, updated.affected], [[[1]], 1, 1]);
  });

  test("is not committed when its rows cannot be made a result", async () => {
    const many =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 90) INSERT INTO users SELECT i, i FROM n";
    const columns = Array.from({ length: 100 }, (_, index) => `id AS a${index}`).join();
    for (const [returning, reason] of [
      ["id AS a, email AS a", "db_statement_failed"],
      [columns, "output_too_large"],
    ]) {
      await assert.rejects(run({ sql: `${many} RETURNING ${returning}`, isReadOnly: false }), {
        reason,
        retryable: false,
      });
    }
    assert.deepEqual((await run({ sql: count })).rows, [[0]]);
  });

  test("is all or nothing, and a failure names the set", async () => {
    const sets = [
      [1, "a"],
      [2, "b"],
      [3, "a"],
    ];

    await assert.rejects(run({ sql: insert, sets, isReadOnly: false, maxRows: undefined }), {
      reason: "db_unique_violation",
      message: /^sets\[2\]: UNIQUE constraint failed: users\.email$/,
      details: { set: 2 },
    });
    assert.deepEqual((await run({ sql: count })).rows, [[0]]);
  });

  for (const [values, reason] of [
    [[1, null], "db_not_null_violation"],
    [[100, "a"], "db_check_violation"],
    [["x", "a"], "db_value_refused"],
  ] as const) {
    test(`fails for good with ${reason}`, async () => {
      await assert.rejects(run({ sql: insert, sets: [values], isReadOnly: false }), { reason, retryable: false });
    });
  }

  test("is refused to a query", async () => {
    await assert.rejects(run({ sql: insert, sets: [[1, "a"]] }), { reason: "db_read_only", retryable: false });
  });

  test("waits for another writer no longer than the statement may take, and may be tried again", async (t) => {
    const file = newFile();
    const connection = await openNew(t, file);
    const other = new DatabaseSync(file);
    other.exec("BEGIN IMMEDIATE");

    const work = workOf({ sql: insert, sets: [[1, "a"]], isReadOnly: false, timeoutMs: 100 });
    await assert.rejects(connection.run(work, never), { retryable: true });
    other.close();
  });
});

test("a statement that is wrong fails for good, with SQLite's words", async () => {
  await assert.rejects(run({ sql: "SELECT shoe_size FROM users" }), {
    ...{ reason: "db_statement_failed", retryable: false },
    message: "the statement failed: no such column: shoe_size",
  });
});

test("a file that is missing, or is no database, is away: none is made", async () => {
  writeFileSync(`${path}.text`, "no database ".repeat(1000));

  for (const [wrong, why] of [
    [`${path}.not-there`, "unable to open database file"],
    [`${path}.text`, "file is not a database"],
  ] as const) {
    await assert.rejects(openSqlite(wrong, { connectMs, signal: never }), {
      ...{ reason: "db_unavailable", retryable: true },
      message: `is unavailable: ${why}`,
    });
  }
  assert.throws(() => new DatabaseSync(`${path}.not-there`, { readOnly: true }));
});

suite("the process of a connection", { skip }, () => {
  async function busyChild(t: TestContext) {
    const child = nextChild();
    const connection = await openNew(t);
    return { connection, pid: await child };
  }

  test("has ended when an endless query is cancelled, and the reason is the signal's", async (t) => {
    const { connection, pid } = await busyChild(t);
    const stop = new AbortController();
    const outcome = assert.rejects(connection.run(workOf({ sql: endless.loop }), stop.signal), /given up/);

    stop.abort(new Error("given up"));
    await outcome;

    assert.equal(cpuTicks(pid), undefined);
    assert.equal(connection.isUsable(), false);
  });

  test("has ended when an endless query takes longer than its timeoutMs", async (t) => {
    const { connection, pid } = await busyChild(t);

    await assert.rejects(connection.run(workOf({ sql: endless.loop, timeoutMs: 50 }), never), {
      ...{ reason: "db_timed_out", retryable: true },
      message: /longer than its timeoutMs of 50/,
    });

    assert.equal(cpuTicks(pid), undefined);
  });

  test("that is killed before its commit fails the job, which may be tried again: nothing was changed", async (t) => {
    for (const isReadOnly of [true, false]) {
      const { connection, pid } = await busyChild(t);
      const work = connection.run(workOf({ sql: endless.loop, isReadOnly }), never);
      const outcome = assert.rejects(work, { reason: "db_unavailable", retryable: true, message: /SIGKILL/ });

      process.kill(pid, "SIGKILL");

      await outcome;
    }
  });

  test("that is killed during its commit leaves the outcome unknown, and the statement says what then", async (t) => {
    for (const unknownOutcome of ["retry", "dead"] as const) {
      const file = newFile();
      const committing = nextCommit();
      const connection = await openNew(t, file);
      const reader = new DatabaseSync(file);
      reader.exec("BEGIN; SELECT * FROM users"); // the commit waits for it
      const work = workOf({ sql: insert, sets: [[1, "a"]], isReadOnly: false, unknownOutcome });
      const outcome = assert.rejects(connection.run(work, never), {
        ...{ reason: "db_outcome_unknown", retryable: unknownOutcome === "retry", message: /SIGKILL/ },
      });

      process.kill(await committing, "SIGKILL");

      await outcome;
      reader.close();
    }
  });

  for (const [what, start] of [
    ["its server is killed with kill -9", () => fork(parentFile, [path])],
    ["its worker thread ends", () => new Worker(parentFile, { argv: [path] })],
  ] as const) {
    test(`ends in the midst of an endless query when ${what}`, async () => {
      const parent = start();
      const [pid] = (await once(parent, "message")) as [number];
      await busy(pid);

      if (parent instanceof Worker) await parent.terminate();
      else parent.kill("SIGKILL");

      await gone(pid);
    });
  }

  test("closes the file when it is closed: nothing is left beside it", async (t) => {
    const file = newFile("PRAGMA journal_mode = WAL; CREATE TABLE users (id INTEGER, email TEXT)");
    const child = nextChild();
    const connection = await openNew(t, file);
    await connection.run(workOf({ sql: insert, sets: [[1, "a"]], isReadOnly: false }), never);

    await connection.close();

    assert.equal(cpuTicks(await child), undefined);
    assert.throws(() => new DatabaseSync(`${file}-wal`, { readOnly: true }));
  });
});

/** Resolves with the id of the next child process of this thread when that commits. */
function nextCommit(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const onChild = (given: unknown) => {
    channel("child_process").unsubscribe(onChild);
    const child = (given as { readonly process: ChildProcess }).process;
    child.on("message", ({ kind }: FromProcess) => {
      if (kind === "committing") resolve(child.pid as number);
    });
  };
  channel("child_process").subscribe(onChild);
  return promise;
}

const parentFile = fileURLToPath(new URL("./endless-parent.ts", import.meta.url));

/** Resolves when the process has worked for a while. */
async function busy(pid: number): Promise<void> {
  const before = cpuTicks(pid) ?? 0;
  await until(() => (cpuTicks(pid) ?? Number.POSITIVE_INFINITY) >= before + 20);
}
