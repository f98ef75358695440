import { DatabaseSync, type SQLInputValue, type StatementResultingChanges } from "node:sqlite";

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
  // Only a new file takes it, and only before it has a write-ahead log: see free-pages.ts.
  if (pragma(db, "page_count") === 0) db.exec("PRAGMA auto_vacuum = INCREMENTAL");
  for (const [name, value] of settings) {
    pragma(db, `${name} = ${value}`);
    const inForce = pragma(db, name);
    if (inForce !== value) throw new Error(`SQLite did not accept ${name} = ${value}: it has ${String(inForce)}`);
  }
  return db;
}

/** What a pragma says, if anything. */
export function pragma(db: DatabaseSync, text: string): unknown {
  return Object.values(db.prepare(`PRAGMA ${text}`).get() ?? {})[0];
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

type Parameter = SQLInputValue | Record<string, SQLInputValue>;

/** A statement that is compiled once. It gives its rows as tuples, which is quicker than objects. */
export type Statement<Row extends readonly unknown[]> = {
  all(...parameters: readonly Parameter[]): Row[];
  get(...parameters: readonly Parameter[]): Row | undefined;
  iterate(...parameters: readonly Parameter[]): Iterable<Row>;
  run(...parameters: readonly Parameter[]): StatementResultingChanges;
};

export type Sql = ReturnType<typeof createSql>;

/**
 * Compiles statements of one database, as in sql`SELECT text FROM name WHERE id = ?`. A limit that is bound is written
 * `LIMIT ? + 0`: SQLite plans by the value of a bare parameter, and compiles the statement again whenever it is bound.
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
