/** Between the port's objects and the tuples that cross threads; runs in the server's thread. */
import type { FinalState, Labels, Lease, NewJob, Payload, Settlement, StoredResult } from "../../job/job.ts";
import type { BytesReader, BytesWriter } from "./bytes.ts";
import {
  deadReasons,
  type JobCells,
  type LeaseCells,
  noWishes,
  outcomes,
  type PayloadCells,
  payloadKinds,
  type ResultCells,
  type SettlementCells,
  states,
  type Wishes,
} from "./protocol.ts";
import { readFailure, readOptions, toOptionsText } from "./text.ts";

export function fromJob(job: NewJob, bytes: BytesWriter): JobCells {
  const { id, client, channel, pool, task, maxAttempts, runAt, submittedAt, trace } = job;
  const [kind, type, size] = fromPayload(job.input, bytes);
  // biome-ignore format: as in the type
  return [id, client, channel, pool, task, maxAttempts, runAt, submittedAt, trace, kind, type, size,
    wishesOf(job)];
}

function wishesOf({ priority, expiresAt, idempotencyKey, options }: NewJob): Wishes {
  if (priority === 0 && expiresAt === null && idempotencyKey === null && options === null) return null;
  return [priority, expiresAt, idempotencyKey, options === null ? null : toOptionsText(options)];
}

export function fromSettlement(settlement: Settlement, bytes: BytesWriter): SettlementCells {
  const { seq, fence, state, attempt, crashes, runAt, startedAt, finishedAt, failure, deadReason } = settlement;
  const failureText = failure && JSON.stringify(failure);
  const [kind, type, size] = fromPayload(settlement.output, bytes);
  const dead = deadReason && deadReasons.indexOf(deadReason);
  // biome-ignore format: as in the type
  return [seq, fence, states.indexOf(state), attempt, crashes, runAt, startedAt, finishedAt, failureText,
    kind, type, size, outcomes.indexOf(settlement.outcome), dead];
}

export function toLease(cells: LeaseCells, bytes: BytesReader): Lease {
  const [seq, attempt, fence, crashes, id, client, channel, pool, task, maxAttempts, runAt, submittedAt, trace] = cells;
  // a copy, for it goes on to another thread by itself, and a view would take the whole batch along
  const input = toPayload(cells[13], cells[14], bytes.take(cells[15]).slice());
  const [priority, expiresAt, idempotencyKey, options] = cells[16] ?? noWishes;
  const damage = cells[17];
  return {
    id,
    client,
    task,
    pool,
    channel,
    input,
    maxAttempts,
    priority,
    runAt,
    expiresAt,
    submittedAt,
    trace,
    idempotencyKey,
    options: options === null ? null : readOptions(options),
    seq,
    attempt,
    fence,
    crashes,
    redrives: cells[18],
    isCancelling: false,
    ...(damage !== null && { damage: readFailure(damage) }),
  };
}

export function toResult(cells: ResultCells, bytes: BytesReader): StoredResult {
  const [cursor, id, task, state, attempts, submittedAt, startedAt, finishedAt, failure] = cells;
  const deadReason = cells[12];
  const options = cells[14];
  return {
    cursor,
    id,
    task,
    state: states[state] as FinalState,
    output: toPayload(cells[9], cells[10], bytes.take(cells[11])),
    failure: failure === null ? null : readFailure(failure),
    deadReason: deadReason === null ? null : deadReasons[deadReason]!,
    attempts,
    redrives: cells[13],
    labels: options === null ? noLabels : (readOptions(options)?.labels ?? noLabels),
    submittedAt,
    startedAt,
    finishedAt,
  };
}

const noLabels: Labels = {};

function fromPayload(payload: Payload | null, bytes: BytesWriter): PayloadCells {
  if (payload === null) return [null, null, 0];
  bytes.put(payload.bytes);
  return [payloadKinds.indexOf(payload.kind), payload.type, payload.bytes.length];
}

function toPayload(kind: number | null, type: string | null, bytes: Uint8Array): Payload | null {
  return kind === null ? null : { kind: payloadKinds[kind]!, type: type!, bytes };
}
