import { DatabaseSync, type SQLInputValue, type StatementResultingChanges } from "node:sqlite";

/** The size to which the log is cut after a large transaction: twice the length at which it is moved. */
const longestLogBytes = 32 * 2 ** 20;

/** The settings that the guarantees depend on, each with the value that must be read back. */
const settings = [
  ["journal_mode", "wal"],
  ["synchronous", 2], // FULL: a commit returns once it is on disk
  ["busy_timeout", 5_000],
  ["journal_size_limit", longestLogBytes],
  ["wal_autocheckpoint", 0], // see checkpoint.ts: SQLite does not report failures of its own checkpoints
  ["cache_size", -16_384], // 16 MiB, in KiB; other pages are in the page cache of the system
  ["foreign_keys", 0],
  ["temp_store", 2], // in memory
] as const;

/** Opens the file for writing; creates it if it is missing. Throws if a setting has no effect. */
export function openConnection(path: string): DatabaseSync {
  const db = new DatabaseSync(path);
  // only possible for a new file without a write-ahead log: see free-pages.ts
  if (pragma(db, "page_count") === 0) db.exec("PRAGMA auto_vacuum = INCREMENTAL");
  for (const [name, value] of settings) {
    pragma(db, `${name} = ${value}`);
    const inForce = pragma(db, name);
    if (inForce !== value) throw new Error(`SQLite did not accept ${name} = ${value}: it has ${String(inForce)}`);
  }
  return db;
}

/** The value that a pragma returns, if any. */
export function pragma(db: DatabaseSync, text: string): unknown {
  return Object.values(db.prepare(`PRAGMA ${text}`).get() ?? {})[0];
}

/**
 * Opens the file a second time, for reading. While this connection is open, closing the writer does not move the
 * write-ahead log, and this connection itself cannot. So after a failed write, no part of a log whose state on disk is
 * unknown is moved into the main file; the next start reads the log by its checksums.
 */
export function openWitness(path: string): DatabaseSync {
  const witness = new DatabaseSync(path, { readOnly: true });
  witness.prepare("SELECT count(*) FROM sqlite_schema").get(); // only now it takes a shared lock on the file
  return witness;
}

type Parameter = SQLInputValue | Record<string, SQLInputValue>;

/** A compiled statement. Returns rows as tuples, which is faster than objects. */
export type Statement<Row extends readonly unknown[]> = {
  all(...parameters: readonly Parameter[]): Row[];
  get(...parameters: readonly Parameter[]): Row | undefined;
  iterate(...parameters: readonly Parameter[]): Iterable<Row>;
  run(...parameters: readonly Parameter[]): StatementResultingChanges;
};

export type Sql = ReturnType<typeof createSql>;

/**
 * Compiles statements of one database, as in sql`SELECT text FROM name WHERE id = ?`. Write a bound limit as `LIMIT ? +
 * 0`: SQLite plans by the value of a bare parameter, and recompiles the statement whenever it is bound.
 */
export function createSql(db: DatabaseSync) {
  return <Row extends readonly unknown[] = readonly unknown[]>(
    text: TemplateStringsArray,
    ...parts: readonly (string | number)[]
  ) => {
    const statement = db.prepare(String.raw({ raw: text }, ...parts));
    statement.setReturnArrays(true);
    return statement as unknown as Statement<Row>;
  };
}
