import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import { type Failure, isFinal, type Payload, type StoredJob } from "../../job/job.ts";
import { prepareQuery } from "./connection.ts";
import { isInputChecksum, isOutputChecksum } from "./checksums.ts";
import { type Calls, deadReasons, payloadKinds, RUNNING, states } from "./protocol.ts";
import { jobSum } from "./row-sum.ts";
import type { Tables } from "./tables.ts";
import { readFailure, readOptions } from "./text.ts";

/** What a job's description is made of. */
export const describing = `job.seq, id, job.client, channel, task, job.pool, state, cancelling, attempt, max_attempts, crashes, priority,
  submitted_at, run_at, expires_at, started_at, job.finished_at, idempotency_key, options, redrives, failure,
  dead_reason, cursor`;

/** Looks at one job with all that is known of it. What is damaged is left out, and the job says so. */
export function createGet(db: DatabaseSync, tables: Tables) {
  const { damage, history, payloads } = tables;
  const byId = db.prepare(`
    SELECT ${describing}, trace, input_kind, input_type, input, input_crc, output_kind, output_type, output, output_crc,
      ${jobSum.isRight} AS is_right
    FROM job WHERE id = ? AND client = ?`);

  function inputOf(row: WholeRow): Sound {
    const { seq, input_kind: kind, input_type: type, input_crc: crc, channel, pool } = row;
    const bytes = payloads.fetch(seq, "input", kind, row.input);
    const { max_attempts: maxAttempts, submitted_at: submittedAt, trace, priority, idempotency_key } = row;
    const terms = { channel, pool, maxAttempts, submittedAt, trace, priority, idempotencyKey: idempotency_key };
    const isSound = isInputChecksum(crc, row, kind, type, row.options, bytes, terms);
    return isSound ? { payload: toPayload(kind, type, bytes) } : { damage: damage.found("input", row.id) };
  }

  function outputOf(row: WholeRow): Sound {
    const { seq, output_kind: kind, output_type: type, output_crc: crc } = row;
    const bytes = payloads.fetch(seq, "output", kind, row.output);
    const { state, attempt: attempts, started_at: startedAt, finished_at: finishedAt, dead_reason: deadReason } = row;
    const { submitted_at: submittedAt, redrives, options } = row;
    const all = { state, attempts, startedAt, finishedAt, deadReason, submittedAt, redrives, options };
    const ending = isFinal(states[state]!) ? all : null;
    const isSound = crc === null || isOutputChecksum(crc, row, kind, type, row.failure, bytes, ending);
    return isSound ? { payload: toPayload(kind, type, bytes) } : { damage: damage.found("output", row.id) };
  }

  return ({ client, id }: Calls["get"]["request"]): Calls["get"]["answer"] => {
    const row = byId.get(id, client) as WholeRow | undefined;
    if (!row) return null;
    const stored = toStored(row, tables);
    const [input, output] = [inputOf(row), outputOf(row)];
    const state = row.is_right === 1 ? undefined : damage.found("state", id);
    return {
      ...stored,
      failure: output.damage ?? input.damage ?? state ?? stored.failure,
      input: input.payload ?? null,
      output: output.payload ?? null,
      history: history.of(row.seq),
    };
  };
}

/** Looks at the states of jobs only: what a job carries is not read. */
export function createStates(db: DatabaseSync) {
  const byId = prepareQuery<[state: number, attempts: number, cancelling: number, redrives: number, runAt: number]>(
    db,
    "SELECT state, attempt, cancelling, redrives, run_at FROM job WHERE id = ? AND client = ?",
  );
  return (names: Calls["states"]["request"]): Calls["states"]["answer"] =>
    names.map(({ client, id }) => {
      const row = byId.get(id, client);
      if (!row) return null;
      const [state, attempts, cancelling, redrives, runAt] = row;
      return { state: states[state]!, attempts, isCancelling: cancelling === 1, redrives, runAt };
    });
}

type Sound = { readonly payload?: Payload | null; readonly damage?: Failure };

function toPayload(kind: number | null, type: string | null, bytes: Uint8Array | null): Payload | null {
  return bytes && { kind: payloadKinds[kind!]!, type: type!, bytes };
}

/** Without its output. */
export function toStored(row: Row, { channels, running }: Tables): StoredJob {
  const { seq, id, client, task, pool, crashes, priority, redrives } = row;
  const channel = channels.nameOf(row.channel);
  return {
    seq,
    id,
    client,
    task,
    pool,
    channel,
    state: states[row.state]!,
    isCancelling: row.cancelling === 1,
    attempts: row.attempt,
    maxAttempts: row.max_attempts,
    crashes,
    priority,
    submittedAt: row.submitted_at,
    runAt: row.run_at,
    expiresAt: row.expires_at,
    startedAt: row.state === RUNNING ? (running.get(seq)?.startedAt ?? null) : row.started_at,
    finishedAt: row.finished_at,
    idempotencyKey: row.idempotency_key,
    options: row.options === null ? null : readOptions(row.options),
    redrives,
    output: null,
    failure: row.failure === null ? null : readFailure(row.failure),
    deadReason: row.dead_reason === null ? null : deadReasons[row.dead_reason]!,
    cursor: channel === null ? null : row.cursor,
  };
}

export type Row = Record<string, SQLOutputValue> & {
  seq: number;
  id: string;
  client: string;
  channel: number;
  task: string;
  pool: string;
  state: number;
  cancelling: number;
  attempt: number;
  max_attempts: number;
  crashes: number;
  priority: number;
  submitted_at: number;
  run_at: number;
  expires_at: number | null;
  started_at: number | null;
  finished_at: number | null;
  idempotency_key: string | null;
  options: string | null;
  redrives: number;
  failure: string | null;
  dead_reason: number | null;
  cursor: number | null;
};

type WholeRow = Row & {
  input_kind: number | null;
  input_type: string | null;
  input: Uint8Array<ArrayBuffer> | null;
  input_crc: number;
  output_kind: number | null;
  output_type: string | null;
  output: Uint8Array<ArrayBuffer> | null;
  output_crc: number | null;
  trace: string | null;
  is_right: number;
};
