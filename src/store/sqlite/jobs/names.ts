import { crc32 } from "node:zlib";
import type { Sql } from "../thread/connection.ts";

export type Names = ReturnType<typeof createNames>;

/** Names kept in memory; beyond it all are read again. */
const cached = 10_000;

/** The numbers that rows have for clients, pools and tasks. Their texts are checked when the store is opened. */
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
    /** Undefined when it never had one. */
    find,
    /** The number of a client, pool or task, given to it when it is new. */
    of: (text: string): number => find(text) ?? keep(text, Number(insert.run(text, crc32(text)).lastInsertRowid)),
    /** A text that no job can have, where only damage can have written the number. */
    text: (id: number): string => {
      const known = texts.get(id) ?? byNumber.get(id)?.[0];
      if (known !== undefined) keep(known, id);
      return known ?? "";
    },
  };
}

/** A name whose text is not what was written; undefined: there is none. */
export function findWrongName(sql: Sql): string | undefined {
  const all = sql<[text: string, checksum: number]>`SELECT text, checksum FROM name`;
  for (const [text, checksum] of all.iterate()) if (crc32(text) !== checksum) return text;
  return undefined;
}
