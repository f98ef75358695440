/** The users of the demo: made as a real database, read back by jobs. */
import { DatabaseSync } from "node:sqlite";
import { dbQuery, type MillpondClient } from "../../../clients/typescript/index.ts";

export type User = { readonly id: number; readonly name: string; readonly email: string; readonly lastSeen: string };

/** Users who were last here before this day are inactive. */
export const inactiveBefore = "2026-06-01";

/** Every so many users one is inactive. */
const everyInactive = 3;
const givenNames = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Frances", "Tony", "Radia", "Ken", "Zoë"];
const familyNames = [
  "Lovelace",
  "Hopper",
  "Turing",
  "Dijkstra",
  "Liskov",
  "Knuth",
  "Allen",
  "Hoare",
  "Perlman",
  "Ødegård",
];

/** Writes a database with so many inactive users, among twice as many others. */
export function makeUsers(path: string, inactive: number): void {
  const database = new DatabaseSync(path);
  database.exec(`
    CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, last_seen TEXT NOT NULL);
    CREATE INDEX by_last_seen ON users (last_seen, id);
    BEGIN;
  `);
  const insert = database.prepare("INSERT INTO users VALUES (?, ?, ?, ?)");
  for (let id = 1; id <= inactive * everyInactive; id += 1) {
    const name = `${givenNames[id % givenNames.length]} ${familyNames[id % familyNames.length]}`;
    const day = String((id % 28) + 1).padStart(2, "0");
    insert.run(id, name, `user.${id}@pond.example`, `2026-${id % everyInactive === 0 ? "03" : "11"}-${day}`);
  }
  database.exec("COMMIT");
  database.close();
}

/** The database as the server's configuration has it: what jobs may ask of it. */
export function usersDatabase(path: string): object {
  return {
    sqlite: path,
    statements: {
      "count-inactive": {
        sql: "SELECT count(*) AS users FROM users WHERE last_seen < $before",
        parameters: { before: "date" },
      },
      inactive: {
        sql: `SELECT id, name, email, last_seen FROM users
              WHERE last_seen < $before AND id > $after ORDER BY id LIMIT $page_size`,
        parameters: { before: "date", after: "integer", page_size: "integer" },
      },
    },
  };
}

export async function countInactive(client: MillpondClient): Promise<number> {
  const [row] = await ask(client, "count-inactive", { before: inactiveBefore });
  return Number(row?.["users"]);
}

/** Reads them a page at a time, each by a job, so that not all users are in memory at once. */
export async function* inactiveUsers(client: MillpondClient, pageSize = 500): AsyncGenerator<User> {
  let after = 0;
  for (;;) {
    const rows = await ask(client, "inactive", { before: inactiveBefore, after, page_size: pageSize });
    for (const row of rows) {
      after = Number(row["id"]);
      yield { id: after, name: String(row["name"]), email: String(row["email"]), lastSeen: String(row["last_seen"]) };
    }
    if (rows.length < pageSize) return;
  }
}

async function ask(client: MillpondClient, statement: string, parameters: { [name: string]: string | number }) {
  // before the mails that wait, which come of it
  const { output, failure } = await client.run(dbQuery, { database: "users", statement, parameters }, { priority: 1 });
  if (!output) throw new Error(`the users cannot be read: ${failure?.message}`);
  return output.rows;
}
