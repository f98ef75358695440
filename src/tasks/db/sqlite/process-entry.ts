/**
 * Entry point of the process of a SQLite connection. An endless query of node:sqlite cannot be stopped in a thread, but
 * a process can be killed. Its transaction is rolled back by the next process that opens the file.
 */
import { pathToFileURL } from "node:url";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { messageOf } from "../../../errors.ts";
import type { JsonValue } from "../../../job/job.ts";
import { TaskError } from "../../../pool/task.ts";
import { endNow, endWithParent, endWithPipe } from "../../process/own-process.ts";
import { failures } from "../failures.ts";
import { accepted } from "../rows.ts";
import { maxAnswerBytes, type Work } from "../work.ts";
import type { FinalAnswer, FromProcess, ToProcess } from "./protocol.ts";

endWithParent();
endWithPipe();

let database: DatabaseSync;
const statements = new Map<string, StatementSync>();

process.on("message", (asked: ToProcess) => {
  if (asked.kind === "close") {
    database.close();
    endNow();
  } else send(asked.kind === "open" ? open(asked.path) : run(asked.work));
});

function send(message: FromProcess): void {
  process.send?.(message);
}

/** The file must exist: a missing one means a wrong path or a pending restore, so no empty database is created. */
function open(path: string): FinalAnswer {
  try {
    const file = pathToFileURL(path);
    file.searchParams.set("mode", "rw");
    database = new DatabaseSync(file);
    database.prepare("SELECT count(*) FROM sqlite_schema").get(); // opening alone does not read the file
    return { kind: "opened" };
  } catch (error) {
    return faultOf(error, undefined);
  }
}

function run(work: Work): FinalAnswer {
  let set: number | undefined;
  try {
    database.exec(`PRAGMA query_only = ${work.isReadOnly ? "on" : "off"}`);
    // waits for other writers for less than the statement's timeout, which would kill the process
    database.exec(`PRAGMA busy_timeout = ${Math.ceil(work.timeoutMs * 0.9)}`);
    if (!work.isReadOnly) database.exec("BEGIN IMMEDIATE");
    const statement = prepared(work.sql);
    const columns = statement.columns().map(({ name }) => name);
    const rows: JsonValue[][] = [];
    let affected = 0;
    let bytes = 0;
    for (const [index, values] of work.sets.entries()) {
      set = index;
      if (columns.length === 0 || work.maxRows === undefined) affected += Number(statement.run(...values).changes);
      else {
        // row by row, to stop at the bound on rows
        for (const row of statement.iterate(...values) as Iterable<unknown>) {
          if (rows.length === work.maxRows) throw failures.tooManyRows(work);
          bytes += bytesOf(row as readonly unknown[]);
          if (bytes > maxAnswerBytes) throw failures.answerTooLarge(maxAnswerBytes);
          rows.push((row as readonly unknown[]).map(jsonOf));
        }
        if (!work.isReadOnly) affected += changes();
      }
    }
    set = undefined;
    const answer = accepted({ columns, rows, affected }, work);
    if (!work.isReadOnly) {
      send({ kind: "committing" }); // sent first, so that the parent knows whether the work may be committed if it kills this process
      database.exec("COMMIT");
    }
    return { kind: "answer", answer };
  } catch (error) {
    statements.delete(work.sql); // its next use would throw this error again
    if (!(error instanceof TaskError)) return given(faultOf(error, set));
    const { reason, message, details } = error;
    return given({ kind: "failure", reason, message, details });
  }
}

/** Ends the transaction, if there is one. */
function given(answer: FinalAnswer): FinalAnswer {
  if (database.isTransaction) database.exec("ROLLBACK");
  return answer;
}

function prepared(sql: string): StatementSync {
  let statement = statements.get(sql);
  if (!statement) {
    statement = database.prepare(sql);
    statement.setReadBigInts(true);
    statement.setReturnArrays(true);
    statements.set(sql, statement); // bounded by the statements of the configuration
  }
  return statement;
}

function changes(): number {
  return (database.prepare("SELECT changes() AS changes").get() as { changes: number }).changes;
}

function jsonOf(value: unknown): JsonValue {
  switch (typeof value) {
    case "bigint": {
      const number = Number(value);
      return Number.isSafeInteger(number) ? number : String(value);
    }
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "object":
      return value instanceof Uint8Array
        ? Buffer.from(value.buffer, value.byteOffset, value.length).toString("base64")
        : null;
    default:
      return String(value);
  }
}

/** Counted before conversion to text: a blob may be larger than any string can be. */
function bytesOf(cells: readonly unknown[]): number {
  let bytes = 0;
  for (const cell of cells) bytes += typeof cell === "string" || cell instanceof Uint8Array ? cell.length : 8;
  return bytes;
}

function faultOf(error: unknown, set: number | undefined): FinalAnswer {
  const code = error instanceof Error && "errcode" in error ? (error.errcode as number) : undefined;
  return { kind: "fault", code, message: messageOf(error), set };
}
