import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSql } from "../../../src/tasks/db/sql.ts";

test("each name becomes a number, the same one where it is used again", () => {
  assert.deepEqual(parseSql("select * from t where a = $a and (b = $b or c > $a)", "postgres"), {
    text: "select * from t where a = $1 and (b = $2 or c > $1)",
    names: ["a", "b"],
  });
  assert.deepEqual(parseSql("insert into t values ($b, $a, $b);", "sqlite"), {
    text: "insert into t values (?1, ?2, ?1);",
    names: ["b", "a"],
  });
});

for (const [what, sql] of [
  ["a text", "select '$a', 'it''s $a' where b = $b"],
  ["a quoted name", 'select "$a", "x""$a" where b = $b'],
  ["a comment", "select 1 -- $a\nwhere /* $a */ b = $b"],
] as const) {
  test(`${what} keeps what looks like a parameter`, () => {
    for (const dialect of ["postgres", "sqlite"] as const) {
      assert.deepEqual(parseSql(sql, dialect).names, ["b"], dialect);
    }
  });
}

for (const sql of [
  "select $$ $a $$, $b",
  "select $tag$ $a; $$ $other$ $tag$, $b",
  "select E'\\' $a', $b",
  "select 1 /* $a /* nested */ $a */ where b = $b",
  "select x$a, $b from x$a",
  "select a['1'::int], b::text from t where b ?| array['x'] and c = $b",
  "select U&'$a', B'1' where b = $b;  -- over",
]) {
  test(`PostgreSQL: ${sql}`, () => {
    assert.deepEqual(parseSql(sql, "postgres").names, ["b"]);
  });
}

for (const sql of ["select [$a], `$a` from t where b = $b", "select '\\', $b"]) {
  test(`SQLite: ${sql}`, () => {
    assert.deepEqual(parseSql(sql, "sqlite").names, ["b"]);
  });
}

test("a parameter may stand in the brackets of an array", () => {
  assert.deepEqual(parseSql("select a[$i]", "postgres").names, ["i"]);
});

for (const [dialect, sql, why] of [
  ["postgres", "delete from a; delete from b", /more than one statement/],
  ["sqlite", "delete from a; 'x'", /more than one statement/],
  ["postgres", "select $1", /the parameter \$1: use a name/],
  ["sqlite", "select ?", /the parameter \?: use a name/],
  ["sqlite", "select :name", /the parameter :name: use a name/],
  ["sqlite", "select @name", /the parameter @name: use a name/],
  ["sqlite", "select $Name", /the parameter \$Name: use a name/],
  ["postgres", "select 'open", /quoted text that starts at character 8 does not end/],
  ["postgres", "select /* open", /comment that starts at character 8 does not end/],
  ["postgres", "select $x$ open", /the string that starts with \$x\$ does not end/],
  ["postgres", "COMMIT", /starts with COMMIT, which cannot run in a transaction/],
  ["sqlite", "/* a */ begin", /starts with begin/],
  ["postgres", "copy t to stdout", /starts with copy/],
  ["sqlite", " -- nothing", /it is empty/],
] as const) {
  test(`refused for ${dialect}: ${sql}`, () => {
    assert.throws(() => parseSql(sql, dialect), why);
  });
}
