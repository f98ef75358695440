/** Between the port's objects and the tuples that cross threads; runs in the server's thread. */
import type { FinalState, Lease, NewJob, Payload, Settlement, StoredResult } from "../../job/job.ts";
import type { BytesReader, BytesWriter } from "./bytes.ts";
import {
  type JobCells,
  type LeaseCells,
  type PayloadCells,
  payloadKinds,
  type ResultCells,
  type SettlementCells,
  states,
} from "./protocol.ts";

export function fromJob(job: NewJob, bytes: BytesWriter): JobCells {
  const { id, client, channel, pool, task, maxAttempts, runAt, submittedAt, trace } = job;
  return [id, client, channel, pool, task, maxAttempts, runAt, submittedAt, trace, ...fromPayload(job.input, bytes)];
}

export function fromSettlement(settlement: Settlement, bytes: BytesWriter): SettlementCells {
  const { seq, fence, state, attempt, crashes, runAt, startedAt, finishedAt, failure } = settlement;
  const stateNumber = states.indexOf(state);
  const failureText = failure && JSON.stringify(failure);
  const output = fromPayload(settlement.output, bytes);
  return [seq, fence, stateNumber, attempt, crashes, runAt, startedAt, finishedAt, failureText, ...output];
}

export function toLease(cells: LeaseCells, bytes: BytesReader): Lease {
  const [seq, attempt, fence, crashes, id, client, channel, pool, task, maxAttempts, runAt, submittedAt, trace] = cells;
  // a copy, for it goes on to another thread by itself, and a view would take the whole batch along
  const input = toPayload(cells[13], cells[14], bytes.take(cells[15]).slice());
  return {
    id,
    client,
    task,
    pool,
    channel,
    input,
    maxAttempts,
    runAt,
    submittedAt,
    trace,
    seq,
    attempt,
    fence,
    crashes,
  };
}

export function toResult(cells: ResultCells, bytes: BytesReader): StoredResult {
  const [cursor, id, task, state, attempts, submittedAt, startedAt, finishedAt, failure] = cells;
  return {
    cursor,
    id,
    task,
    state: states[state] as FinalState,
    output: toPayload(cells[9], cells[10], bytes.take(cells[11])),
    failure: failure === null ? null : JSON.parse(failure),
    attempts,
    submittedAt,
    startedAt,
    finishedAt,
  };
}

function fromPayload(payload: Payload | null, bytes: BytesWriter): PayloadCells {
  if (payload === null) return [null, null, 0];
  bytes.put(payload.bytes);
  return [payloadKinds.indexOf(payload.kind), payload.type, payload.bytes.length];
}

function toPayload(kind: number | null, type: string | null, bytes: Uint8Array): Payload | null {
  return kind === null ? null : { kind: payloadKinds[kind]!, type: type!, bytes };
}
