/**
 * A connection to PostgreSQL. Work that only reads takes one round trip. Work that writes takes two: the commit is only
 * sent once the returned rows are known to fit, and only a connection that breaks during the commit leaves the outcome
 * unknown.
 */
import { isIP, Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import type { Client, Connection as Wire } from "pg";
import { systemClock } from "../../../clock.ts";
import type { TaskError } from "../../../pool/task.ts";
import { secretOf } from "../../settings/secret.ts";
import { failures, ofSet } from "../failures.ts";
import { accepted } from "../rows.ts";
import type { PostgresLocation } from "../settings.ts";
import { type Answer, type DatabaseConnection, maxAnswerBytes, type Work } from "../work.ts";
import { type Address, requestCancel } from "./cancel.ts";
import { failureOf, isAnswer, isServerError, isStalePlan, whyLost, whyNotOpened } from "./failure.ts";
import { boundIncoming } from "./incoming.ts";
import { type Answered, createPipeline, PipelineError, type Prepared, type Step } from "./pipeline.ts";

/** Timers may fire this much early. */
const timerSlackMs = 2;
/** How long the server may take to cancel a statement, and to end a session. */
const endMs = 5_000;
/**
 * Bound on the bytes of all messages in response to a statement: more than the rows, because messages have headers and
 * each set has a response.
 */
const maxIncomingBytes = 4 * maxAnswerBytes;

export type Bounds = { readonly connectMs: number; readonly signal: AbortSignal };

/** Rejects with `db_unavailable`, also when it takes longer than `connectMs`, or with the signal's reason. */
export async function openPostgres(
  location: PostgresLocation,
  { connectMs, signal }: Bounds,
): Promise<DatabaseConnection> {
  signal.throwIfAborted();
  const { default: pg } = await import("pg"); // loaded only by threads that need it
  signal.throwIfAborted();
  const { host, port, database, user } = location;
  const address: Address = { host, port, tls: tlsOf(location) };
  const password = location.password ? secretOf(location.password) : "";
  const socket = new Socket();
  const closed = Promise.withResolvers<void>();
  socket.once("close", () => closed.resolve());
  const client = new pg.Client({
    ...{ host, port, database, user },
    password: () => password, // even when empty: otherwise pg reads it from other places
    ssl: address.tls ?? false,
    stream: () => socket,
    connectionTimeoutMillis: connectMs,
    keepAlive: true,
    application_name: "millpond",
  });
  client.on("error", () => {}); // each query rejects with it, and `closed` resolves
  const onAbort = () => socket.destroy(signal.reason as Error);
  const beganMs = systemClock.monotonicMs();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await client.connect();
  } catch (error) {
    socket.destroy();
    if (!socket.closed) await closed.promise;
    signal.throwIfAborted();
    throw failures.unavailable(
      whyNotOpened(
        error,
        location,
        systemClock.monotonicMs() - beganMs >= connectMs - timerSlackMs ? connectMs : undefined,
      ),
    );
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  return connectionOf(client, { address, socket, closed: closed.promise });
}

function tlsOf({ tls, host, ca }: PostgresLocation): ConnectionOptions | undefined {
  if (tls === "off") return undefined;
  return { ...(ca !== undefined && { ca }), host, ...(isIP(host) === 0 && { servername: host }) };
}

type Parts = { readonly address: Address; readonly socket: Socket; readonly closed: Promise<void> };

function connectionOf(client: Client, { address, socket, closed }: Parts): DatabaseConnection {
  const prepared: Prepared = new Map();
  let isUsable = true;
  /** The statement returned more than a result can carry. */
  let isTooMuch = false;
  const incoming = boundIncoming(
    (client as unknown as { readonly connection: Wire }).connection.stream,
    maxIncomingBytes,
    () => {
      isTooMuch = true;
      socket.destroy();
    },
  );
  void closed.then(() => (isUsable = false));

  async function send(steps: readonly Step[]): Promise<Answered> {
    const pipeline = createPipeline(steps, prepared);
    client.query(pipeline);
    return pipeline.answered;
  }

  async function read(work: Work): Promise<Answer> {
    const answered = await send([beginReadOnly, settings(work), ...executions(work), commit]);
    return checked(answered, work);
  }

  async function write(work: Work): Promise<Answer> {
    const answer = checked(await send([begin, settings(work), ...executions(work)]), work);
    try {
      await send([commit]);
    } catch (error) {
      const { cause } = error as PipelineError;
      // deferred constraints are checked by the commit, which changes nothing when one fails
      if (isServerError(cause) && isAnswer(cause)) throw error;
      isUsable = false;
      throw failures.outcomeUnknown(whyLost(cause), work);
    }
    return answer;
  }

  /** Ends the transaction after an error: it is still open, unless the connection is lost. */
  async function rollBack(): Promise<void> {
    if (!isUsable) return;
    await send([rollback]).catch(() => {
      isUsable = false;
    });
  }

  async function attempt(work: Work): Promise<Answer> {
    incoming.begin();
    try {
      return await (work.isReadOnly ? read(work) : write(work));
    } catch (error) {
      if (hasStalePlan(error)) isUsable = false;
      await rollBack();
      if (isTooMuch) throw failures.answerTooLarge(maxAnswerBytes);
      throw error instanceof PipelineError ? failureOfStep(error, work) : error;
    }
  }

  /**
   * Asks the server to cancel the statement. A late request would cancel the next statement, so the connection is
   * closed and has none.
   */
  async function cancelled(running: Promise<Answer>, signal: AbortSignal): Promise<Answer> {
    isUsable = false;
    const cancelTimer = systemClock.after(endMs, () => socket.destroy());
    const { processID, secretKey } = client as unknown as { readonly processID: number; readonly secretKey: number };
    await requestCancel(address, { processId: processID, secret: secretKey });
    try {
      return await running;
    } catch {
      throw signal.reason;
    } finally {
      cancelTimer();
      await close(); // the server accepts the request before it has cancelled the statement
    }
  }

  async function close(): Promise<void> {
    isUsable = false;
    const cancelTimer = systemClock.after(endMs, () => socket.destroy());
    void client.end().catch(() => {});
    await closed; // the server closes its side once it has ended the session
    cancelTimer();
  }

  return {
    closed,
    isUsable: () => isUsable,
    async run(work, signal) {
      signal.throwIfAborted();
      const running = attempt(work);
      const stop = Promise.withResolvers<"stop">();
      const onAbort = () => stop.resolve("stop");
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        const first = await Promise.race([running, stop.promise]);
        return first === "stop" ? await cancelled(running, signal) : first;
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    },
    close,
  };
}

const step = (text: string): Step => ({ text, values: [] });
const begin = step("BEGIN");
const beginReadOnly = step("BEGIN READ ONLY");
const commit = step("COMMIT");
const rollback = step("ROLLBACK");

/** Settings for this transaction only: a connection pooler in between may give the session to other clients after it. */
function settings({ timeoutMs }: Work): Step {
  return {
    text: "SELECT set_config('statement_timeout', $1, true), set_config('DateStyle', 'ISO', true), set_config('bytea_output', 'hex', true)",
    values: [String(timeoutMs)],
  };
}

/** Number of steps before the first set: the begin and the settings. */
const stepsBefore = 2;

/** Requests one row more than allowed, to detect too many. */
function executions({ sql, sets, maxRows }: Work): Step[] {
  return sets.map((values) => ({ text: sql, values, ...(maxRows !== undefined && { maxRows: maxRows + 1 }) }));
}

function checked({ columns, rows, affected, isTooLarge }: Answered, work: Work): Answer {
  if (work.maxRows !== undefined && rows.length > work.maxRows) throw failures.tooManyRows(work);
  if (isTooLarge) throw failures.answerTooLarge(maxAnswerBytes);
  return accepted({ columns, rows, affected }, work);
}

function hasStalePlan(error: unknown): boolean {
  return error instanceof PipelineError && isServerError(error.cause) && isStalePlan(error.cause);
}

function failureOfStep({ step, cause }: PipelineError, work: Work): TaskError {
  if (!isServerError(cause)) return failures.unavailable(whyLost(cause));
  const failure = failureOf(cause, work);
  const set = step - stepsBefore;
  return work.sets.length > 1 && set >= 0 && set < work.sets.length ? ofSet(failure, set) : failure;
}
