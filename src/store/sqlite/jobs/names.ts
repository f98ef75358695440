import { crc32 } from "node:zlib";
import type { Sql } from "../thread/connection.ts";

export type Names = ReturnType<typeof createNames>;

/** Bound on names in memory; beyond it, all are read again. */
const cached = 10_000;

/** The ids of clients, pools and tasks in rows. The names are verified when the store is opened. */
export function createNames(sql: Sql) {
  const byText = sql<[number]>`SELECT id FROM name WHERE text = ?`;
  const byNumber = sql<[string]>`SELECT text FROM name WHERE id = ?`;
  const insert = sql`INSERT INTO name (text, checksum) VALUES (?, ?)`;
  const numbers = new Map<string, number>();
  const texts = new Map<number, string>();

  function keep(text: string, id: number): number {
    if (numbers.size >= cached) {
      numbers.clear();
      texts.clear();
    }
    numbers.set(text, id);
    texts.set(id, text);
    return id;
  }

  function find(text: string): number | undefined {
    const known = numbers.get(text);
    if (known !== undefined) return known;
    const row = byText.get(text);
    return row && keep(text, row[0]);
  }

  return {
    /** The id of a name; undefined: it never had one. */
    find,
    /** The id of a name; a new name gets one. */
    of: (text: string): number => find(text) ?? keep(text, Number(insert.run(text, crc32(text)).lastInsertRowid)),
    /** The name with this id; empty, which no job can have: the id is damaged. */
    text: (id: number): string => {
      const known = texts.get(id) ?? byNumber.get(id)?.[0];
      if (known !== undefined) keep(known, id);
      return known ?? "";
    },
  };
}

/** A damaged name; undefined: there is none. */
export function findWrongName(sql: Sql): string | undefined {
  const all = sql<[text: string, checksum: number]>`SELECT text, checksum FROM name`;
  for (const [text, checksum] of all.iterate()) if (crc32(text) !== checksum) return text;
  return undefined;
}
