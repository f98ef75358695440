/**
 * How an attempt ended, encoded as a record: the job's result if it is final, and an entry of its history if the
 * attempt did not succeed. Contains the job's id, because a result may be delivered after its job was removed. See
 * record.ts.
 */
import type {
  DeadReason,
  Ending,
  Failure,
  FinalState,
  JobState,
  Labels,
  NewJob,
  Outcome,
  PastAttempt,
  StoredResult,
} from "./job.ts";
import { noLabels } from "./job.ts";
import { noBytes, payloadOf, writeLabels, writePayload, writer } from "./record-fields.ts";
import { WireReader } from "./wire.ts";

/** The job of the attempt. */
export type Subject = Pick<NewJob, "id" | "task" | "labels" | "submittedAt"> & { readonly redrives: number };

/** Encodes how an attempt ended, and the resulting state of the job. */
export function encodeEnding(job: Subject, ending: Ending): Uint8Array<ArrayBuffer> {
  const { startedAt, deadReason, failure, ended } = ending;
  writer.begin();
  writer.uuid(1, job.id);
  writer.string(2, job.task);
  writer.double(3, job.submittedAt);
  writeLabels(4, job.labels);
  writer.uint(5, states.indexOf(ending.state));
  writer.uint(6, ending.attempt);
  if (job.redrives !== 0) writer.uint(7, job.redrives);
  if (startedAt !== null) writer.double(8, startedAt);
  writer.double(9, ending.finishedAt);
  if (deadReason !== null) writer.uint(10, deadReasons.indexOf(deadReason));
  writePayload(11, ending.output);
  if (failure !== null) {
    const failed: FailedAttempt = { ...ended, outcome: ending.outcome, failure };
    writer.string(14, JSON.stringify(failed));
  }
  return writer.end();
}

/** Decodes a final job's ending as a result. */
export function decodeResult(ending: Uint8Array, cursor: number): StoredResult {
  const read = readEnding(ending);
  return {
    cursor,
    id: read.id,
    task: read.task,
    state: read.state as FinalState,
    output: read.output,
    failure: read.failure,
    deadReason: read.deadReason,
    attempts: read.attempts,
    redrives: read.redrives,
    labels: read.labels,
    submittedAt: read.submittedAt,
    startedAt: read.startedAt,
    finishedAt: read.finishedAt,
  };
}

/** Decodes the ending of an attempt that did not succeed as an entry of the job's history. */
export function decodePast(ending: Uint8Array): PastAttempt {
  const { attempt, failure, finishedAt } = readEnding(ending);
  const { number, outcome, startedAt } = attempt;
  return { attempt: number, outcome, failure: failure as Failure, startedAt, finishedAt };
}

type Attempt = { readonly number: number; readonly outcome: Outcome["kind"]; readonly startedAt: number | null };
type FailedAttempt = Attempt & { readonly failure: Failure };
type DecodedEnding = Omit<StoredResult, "cursor" | "state"> & { readonly state: JobState; readonly attempt: Attempt };

export function readEnding(ending: Uint8Array): DecodedEnding {
  const reader = new WireReader(ending);
  let id = "";
  let task = "";
  let submittedAt = 0;
  let labels = noLabels;
  let state = 0;
  let attempts = 0;
  let redrives = 0;
  let startedAt: number | null = null;
  let finishedAt = 0;
  let deadReason: StoredResult["deadReason"] = null;
  let outputKind = -1;
  let outputType = "";
  let outputBytes: Uint8Array = noBytes;
  let failed: FailedAttempt | undefined;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) id = reader.uuid();
    else if (field === 2) task = reader.string();
    else if (field === 3) submittedAt = reader.double();
    else if (field === 4) labels = JSON.parse(reader.string()) as Labels;
    else if (field === 5) state = reader.uint();
    else if (field === 6) attempts = reader.uint();
    else if (field === 7) redrives = reader.uint();
    else if (field === 8) startedAt = reader.double();
    else if (field === 9) finishedAt = reader.double();
    else if (field === 10) deadReason = deadReasons[reader.uint()] ?? null;
    else if (field === 11) outputKind = reader.uint();
    else if (field === 12) outputType = reader.string();
    else if (field === 13) outputBytes = reader.view();
    else if (field === 14) failed = JSON.parse(reader.string()) as FailedAttempt;
    else reader.skip();
  }
  return {
    id,
    task,
    state: states[state] as JobState,
    output: payloadOf(outputKind, outputType, outputBytes),
    failure: failed?.failure ?? null,
    deadReason,
    attempts,
    redrives,
    labels,
    submittedAt,
    startedAt,
    finishedAt,
    attempt: failed ?? { number: attempts, outcome: "succeeded", startedAt },
  };
}

/** Encoded as indices, here and in the columns of stores: the order must not change. */
export const states = ["QUEUED", "RUNNING", "SUCCEEDED", "DEAD", "CANCELLED"] as const satisfies readonly JobState[];
export const deadReasons = ["exhausted", "permanent", "expired", "poison"] as const satisfies readonly DeadReason[];
