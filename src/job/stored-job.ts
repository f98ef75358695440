/** A job as the store knows it, made of its record, its columns and the records of its endings. */
import { decodePast, readEnding } from "./ending.ts";
import { isFinal, type StoredJob, type WholeJob } from "./job.ts";
import { decodeJob } from "./record.ts";

/** Where a job stands: what a store holds of it in columns. */
export type Standing = Pick<
  StoredJob,
  | ("seq" | "state" | "isCancelling" | "attempts" | "crashes" | "runAt" | "expiresAt")
  | ("startedAt" | "finishedAt" | "redrives" | "cursor")
>;

/**
 * A job as the store knows it, its output left out. `ending`: its result, or while it is not final the newest line of its history; null when it
 * has neither.
 */
export function decodeStored(record: Uint8Array, standing: Standing, ending: Uint8Array | null): StoredJob {
  const { input: _input, inputDigest: _digest, trace: _trace, retry: _retry, ...job } = decodeJob(record);
  const { failure, deadReason } = ending && showsEnding(standing) ? readEnding(ending) : nothingEnded;
  return {
    ...job,
    ...standing,
    ...{ output: null, failure, deadReason: isFinal(standing.state) ? deadReason : null },
  };
}

/** `result`: null while it is not final. `history`: endings of its attempts, oldest first. */
export function decodeWhole(
  record: Uint8Array,
  standing: Standing,
  result: Uint8Array | null,
  history: readonly Uint8Array[],
): WholeJob {
  return {
    ...decodeStored(record, standing, result ?? history.at(-1) ?? null),
    input: decodeJob(record).input,
    output: result && readEnding(result).output,
    history: history.map(decodePast),
  };
}

const nothingEnded = { failure: null, deadReason: null };

/** Endings before a redrive are in the history only. */
function showsEnding({ state, attempts }: Standing): boolean {
  return isFinal(state) || attempts - (state === "RUNNING" ? 1 : 0) > 0;
}
