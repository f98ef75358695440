/**
 * Upper bounds on the number of values that stored data has in a response, estimated from its bytes, because few
 * responses are near the limit.
 */
import type { Failure, Labels, Payload, StoredResult } from "../job/job.ts";

/** Fields of a job or a result that are not counted below. */
const ownFields = 15;

/** Typed outputs are delivered as bytes. */
export function valuesOfPayload(payload: Payload | null): number {
  if (payload?.kind !== "json") return 0;
  let values = 1;
  for (const byte of payload.bytes) {
    if (byte === comma || byte === colon || byte === openBracket || byte === openBrace) values += 1;
  }
  return values;
}

export function valuesOfFailure(failure: Failure | null): number {
  return failure?.details ? JSON.stringify(failure.details).length >> 1 : 0; // a value has a comma or a bracket
}

export function valuesOfFields(labels: Labels | undefined): number {
  let values = ownFields;
  for (const _ in labels) values += 2;
  return values;
}

/**
 * Splits a batch into pieces of at most `maxValues` values, or of one result. Counts lazily, so that the thread can do
 * other work between pieces.
 */
export function* piecesOf(results: readonly StoredResult[], maxValues: number): Generator<readonly StoredResult[]> {
  for (let start = 0; start < results.length; ) {
    let end = start;
    let values = 0;
    for (; end < results.length; end += 1) {
      values += valuesOf(results[end] as StoredResult);
      if (values > maxValues && end > start) break;
    }
    yield start === 0 && end === results.length ? results : results.slice(start, end);
    start = end;
  }
}

function valuesOf({ output, failure, labels }: StoredResult): number {
  return valuesOfFields(labels) + valuesOfPayload(output) + valuesOfFailure(failure);
}

const comma = 0x2c;
const colon = 0x3a;
const openBracket = 0x5b;
const openBrace = 0x7b;
