import assert from "node:assert/strict";
import { test } from "node:test";
import { readDatabases } from "../../../src/tasks/db/settings.ts";
import { readSettings } from "../../../src/tasks/email/settings.ts";

/** What a connection URL has in it, and what is left of one in the wrong place. */
const canaries = ["postgres://mill:c4n4ry@db.example/app", "mill:c4n4ry@db", "c4n4ry{{ a"];
const smtp = {
  host: "mail.example",
  ...{ port: 25, tls: "tls", caFile: "/not/there", user: "mill", passwordEnv: "PATH", from: "mill@example.com" },
  ...{ connections: 1, perSecond: 1, unknownOutcome: "dead", connectMs: 10, answerMs: 10, idleMs: 10 },
};
const postgres = { host: "db.example", port: 1, database: "d", user: "mill", passwordEnv: "PATH", tls: "on" };
const statement = { sql: "select $a", parameters: { a: "text" }, maxRows: 1, timeoutMs: 1, unknownOutcome: "dead" };
const database = { postgres, connections: 1, connectMs: 10, idleMs: 10, statements: { one: statement } };
const template = { subject: "Hello", text: "you" };

const cases = [
  [readSettings, { servers: { main: smtp }, templates: { hello: template } }],
  [readDatabases, { users: database, files: { sqlite: "./a.sqlite" } }],
] as const;

test("no message about a setting has the text that stands there, wherever a password may be put by mistake", () => {
  let mistakes = 0;
  for (const canary of canaries) {
    for (const [read, good] of cases) {
      for (const given of [...spoilt(good, canary), ...spoilt(good, [canary]), ...spoilt(good, { [canary]: canary })]) {
        try {
          (read as (section: object) => unknown)(given as object);
        } catch (error) {
          mistakes += 1;
          assert.doesNotMatch((error as Error).message, /c4n4ry/, JSON.stringify(given));
        }
      }
    }
  }
  assert.ok(mistakes > 200, `${mistakes} mistakes`);
});

test("a URL in place of a section or a host is named as such", () => {
  assert.throws(
    () => readDatabases({ users: { postgres: canaries[0] } }),
    /users\.postgres is a URL and must be a sect/,
  );
  assert.throws(
    () => readSettings({ servers: { main: { host: "smtp://a:b@c" } } }),
    /main\.host is a URL and must be a/,
  );
});

/** The same once for each of its values, with that value replaced; the last ones have another key as well. */
function spoilt(given: unknown, by: unknown): unknown[] {
  if (typeof given !== "object" || given === null) return [by];
  const inside = Object.entries(given).flatMap(([key, value]) =>
    [...spoilt(value, by), by].map((each) => ({ ...given, [key]: each })),
  );
  return [...inside, ...(typeof by === "object" ? [{ ...given, ...by }] : [])];
}
