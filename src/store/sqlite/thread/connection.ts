import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from "node:sqlite";

/** How long the write-ahead log stays when a large transaction had made it longer: twice the length at which it is moved. */
const longestLogBytes = 32 * 2 ** 20;

/** The settings that the promises rest on, each with the value that must be read back. */
const settings = [
  ["journal_mode", "wal"],
  ["synchronous", 2], // FULL: a commit returns when the disk has it
  ["busy_timeout", 5_000],
  ["journal_size_limit", longestLogBytes],
  ["wal_autocheckpoint", 0], // by checkpoint.ts: SQLite keeps to itself what goes wrong with its own
  ["cache_size", -16_384], // 16 MiB, in KiB; what falls out of it is still in the page cache of the system
  ["foreign_keys", 0],
  ["temp_store", 2], // in memory
] as const;

/** Opens the file for writing, creating it when it is not there. Throws when a setting did not take. */
export function openConnection(path: string): DatabaseSync {
  const db = new DatabaseSync(path);
  try {
    // Only a new file takes it, and only before it has a write-ahead log: see free-pages.ts.
    if (db.prepare("PRAGMA page_count").get()!.page_count === 0) db.exec("PRAGMA auto_vacuum = INCREMENTAL");
    for (const [name, value] of settings) {
      db.prepare(`PRAGMA ${name} = ${value}`).get();
      const [inForce] = Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {});
      if (inForce !== value) throw new Error(`SQLite did not accept ${name} = ${value}: it has ${String(inForce)}`);
    }
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * Opens the file a second time, for reading. As long as this connection is open, closing the writer leaves the
 * write-ahead log alone, and when it is closed last it cannot write. So after a failed write nothing of a log whose
 * state on the disk is unknown is moved into the main file; the next start reads the log by its checksums.
 */
export function openWitness(path: string): DatabaseSync {
  const witness = new DatabaseSync(path, { readOnly: true });
  witness.prepare("SELECT count(*) FROM sqlite_schema").get(); // only now does it take its share of the file's lock
  return witness;
}

export type Query<Row extends readonly SQLOutputValue[]> = {
  all(...parameters: SQLInputValue[]): Row[];
  get(...parameters: SQLInputValue[]): Row | undefined;
};

/** The same for a query whose parameters have names. */
export type NamedQuery<Row extends readonly SQLOutputValue[]> = {
  all(parameters: Record<string, SQLInputValue>): Row[];
  get(parameters: Record<string, SQLInputValue>): Row | undefined;
};

/**
 * A query that is compiled once and gives its rows as tuples, which is quicker than objects. A limit that is bound is written
 * `LIMIT ? + 0`: SQLite plans by the value of a bare parameter, and compiles the query again whenever it is bound.
 */
export function prepareQuery<Row extends readonly SQLOutputValue[]>(db: DatabaseSync, sql: string): Query<Row> {
  const statement = prepareTuples(db, sql);
  return {
    all: (...parameters) => statement.all(...parameters) as unknown as Row[],
    get: (...parameters) => statement.get(...parameters) as unknown as Row | undefined,
  };
}

export function prepareNamed<Row extends readonly SQLOutputValue[]>(db: DatabaseSync, sql: string): NamedQuery<Row> {
  const statement = prepareTuples(db, sql);
  return {
    all: (parameters) => statement.all(parameters) as unknown as Row[],
    get: (parameters) => statement.get(parameters) as unknown as Row | undefined,
  };
}

/** A statement that gives its rows as tuples. */
export function prepareTuples(db: DatabaseSync, sql: string): StatementSync {
  const statement = db.prepare(sql);
  statement.setReturnArrays(true);
  return statement;
}
