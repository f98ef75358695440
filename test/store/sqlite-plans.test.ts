/** Every statement finds its rows through an index, whatever the statistics say. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, test } from "node:test";
import { createExecutor } from "../../src/store/sqlite/thread/executor.ts";
import { migrate } from "../../src/store/sqlite/thread/migrate.ts";

/** Read whole, once, when a store is opened, or with a row for each pool at most. */
const readWhole = /^SCAN (?:pool_count|pool_override|total|lease)(?: USING INDEX \S+)?$/;
/** Their size is one, or bounded by what was asked for, or by the priorities there are. */
const small = /^SCAN (?:CONSTANT ROW|16-ROW VALUES CLAUSE|\(subquery-\d+\)) ?/;
/** Once for a job whose checksum does not fit. */
const damaged = /^SCAN (?:waiting|job)$/;

let db: DatabaseSync;
let statements: string[];
beforeEach(() => {
  db = new DatabaseSync(":memory:");
  migrate(db);
  statements = [];
  const { prepare } = db;
  db.prepare = (sql: string) => {
    statements.push(sql);
    return prepare.call(db, sql);
  };
  createExecutor(db, { onCommit: () => {}, onDamage: () => assert.fail() });
  db.prepare = prepare;
});
afterEach(() => db.close());

function plans(): string[] {
  return statements
    .filter((sql) => /^\s*(?:SELECT|INSERT|UPDATE|DELETE)/.test(sql))
    .flatMap((sql) => db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all())
    .map(({ detail }) => String(detail));
}

function assertNoWalk(): void {
  const walks = plans().filter(
    (line) => /\bSCAN\b/.test(line) && ![readWhole, small, damaged].some((allowed) => allowed.test(line)),
  );
  assert.deepEqual(walks, []);
}

describe("no statement walks a table", () => {
  test("of a store that was never analysed", () => {
    assert.ok(statements.length > 40, "the statements were seen");
    assertNoWalk();
  });

  test("of a store whose statistics say that it is empty", () => {
    db.exec("ANALYZE");
    assertNoWalk();
  });

  test("and no order is made by sorting, but that of a channel's two kinds of results", () => {
    assert.deepEqual(
      plans().filter((line) => line.startsWith("USE TEMP B-TREE")),
      [],
    );
  });
});
