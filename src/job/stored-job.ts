/** Decodes a stored job from its record, its columns and its endings. */
import { decodePast, readEnding } from "./ending.ts";
import { isFinal, type StoredJob, type WholeJob } from "./job.ts";
import { decodeJob } from "./record.ts";

/** The columns of a stored job. */
export type Standing = Pick<
  StoredJob,
  | ("seq" | "state" | "isCancelling" | "attempts" | "crashes" | "runAt" | "expiresAt")
  | ("startedAt" | "finishedAt" | "redrives" | "cursor")
>;

/**
 * The job without its output. `ending`: its result, or the newest entry of its history if it is not final; null: it has
 * neither.
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

/** `result`: null if it is not final. `history`: endings of its attempts, oldest first. */
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

/** Endings from before a redrive are only shown in the history. */
function showsEnding({ state, attempts }: Standing): boolean {
  return isFinal(state) || attempts - (state === "RUNNING" ? 1 : 0) > 0;
}
