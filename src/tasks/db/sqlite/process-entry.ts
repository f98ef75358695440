/**
 * The entry of the process of a SQLite connection: an endless query of node:sqlite cannot be stopped in a thread, but a
 * process can be killed. What it was doing is rolled back by the next one that opens the file.
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

/** The file has to exist: a missing one means a wrong path, or a restore to come, and no empty database is made. */
function open(path: string): FinalAnswer {
  try {
    const file = pathToFileURL(path);
    file.searchParams.set("mode", "rw");
    database = new DatabaseSync(file);
    database.prepare("SELECT count(*) FROM sqlite_schema").get(); // opening alone reads nothing
    return { kind: "opened" };
  } catch (error) {
    return faultOf(error, undefined);
  }
}

function run(work: Work): FinalAnswer {
  let set: number | undefined;
  try {
    database.exec(`PRAGMA query_only = ${work.isReadOnly ? "on" : "off"}`);
    // waiting for other writers ends before the statement's timeout, which would cost the process
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
        // row by row, so that no more rows are made than may come back
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
      send({ kind: "committing" }); // written first, so that whoever kills this process knows whether the work may be committed
      database.exec("COMMIT");
    }
    return { kind: "answer", answer };
  } catch (error) {
    statements.delete(work.sql); // its next use would throw this error once more
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
    statements.set(sql, statement); // those of the configuration, so not many
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

/** Checked before they become text: a blob may be larger than any text. */
function bytesOf(cells: readonly unknown[]): number {
  let bytes = 0;
  for (const cell of cells) bytes += typeof cell === "string" || cell instanceof Uint8Array ? cell.length : 8;
  return bytes;
}

function faultOf(error: unknown, set: number | undefined): FinalAnswer {
  const code = error instanceof Error && "errcode" in error ? (error.errcode as number) : undefined;
  return { kind: "fault", code, message: messageOf(error), set };
}
