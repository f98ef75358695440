/**
 * Packs the outcomes of a chunk into one buffer to send them from its thread. Receiving objects with a small buffer
 * each took the main thread more time than everything else that a pool does there for a job.
 */
import type { Payload } from "../job/job.ts";
import { payloadKinds } from "../job/record-fields.ts";
import { type ChunkOutcome, outcomeCells as cells, type OutcomeRest, type PackedOutcomes } from "./chunk.ts";

const noOutput = -1;
const plain: Omit<OutcomeRest, "at"> = { fault: null, progress: undefined, spans: undefined };

/** Packs the outcomes from index `from`. */
export function packOutcomes(outcomes: readonly (ChunkOutcome | null)[], from: number): PackedOutcomes {
  const count = outcomes.length - from;
  const buffer = new ArrayBuffer(count * cells * 8 + sizeOf(outcomes, from));
  const [numbers, outputs] = viewsOf(buffer, count);
  const types: string[] = [];
  const rest: OutcomeRest[] = [];
  let end = 0;
  for (let index = from; index < outcomes.length; index += 1) {
    const outcome = outcomes[index];
    const at = index - from;
    const cell = at * cells;
    const [startedAt, tookMs, output, fault, progress, spans] = outcome ?? [Number.NaN, 0, null, null];
    if (output) {
      outputs.set(output.bytes, end);
      end += output.bytes.length;
    }
    numbers[cell] = startedAt;
    numbers[cell + 1] = tookMs;
    numbers[cell + 2] = end;
    numbers[cell + 3] = output ? codeOf(output, types) : noOutput;
    if (fault !== null || progress || spans) rest.push({ at, fault, progress, spans });
  }
  return { count, buffer, types, rest };
}

/** Unpacks the outcomes from index `from`; outputs are views of the one buffer. */
export function unpackOutcomes(packed: PackedOutcomes, from: number): (ChunkOutcome | null)[] {
  const { count, buffer, types, rest } = packed;
  const [numbers, outputs] = viewsOf(buffer, count);
  const outcomes: (ChunkOutcome | null)[] = [];
  let next = rest.findIndex(({ at }) => at >= from);
  for (let at = from; at < count; at += 1) {
    const cell = at * cells;
    const startedAt = numbers[cell] as number;
    const own = rest[next]?.at === at ? (rest[next++] as OutcomeRest) : plain;
    if (Number.isNaN(startedAt)) {
      outcomes.push(null);
      continue;
    }
    const code = numbers[cell + 3] as number;
    const start = at === 0 ? 0 : (numbers[cell - 2] as number);
    const output = code === noOutput ? null : outputOf(outputs.subarray(start, numbers[cell + 2]), code, types);
    outcomes.push([startedAt, numbers[cell + 1] as number, output, own.fault, own.progress, own.spans]);
  }
  return outcomes;
}

function viewsOf(buffer: ArrayBuffer, count: number): readonly [numbers: Float64Array, outputs: Uint8Array] {
  return [new Float64Array(buffer, 0, count * cells), new Uint8Array(buffer, count * cells * 8)];
}

function sizeOf(outcomes: readonly (ChunkOutcome | null)[], from: number): number {
  let bytes = 0;
  for (let index = from; index < outcomes.length; index += 1) bytes += outcomes[index]?.[2]?.bytes.length ?? 0;
  return bytes;
}

function codeOf({ kind, type }: Payload, types: string[]): number {
  let index = types.indexOf(type);
  if (index < 0) index = types.push(type) - 1;
  return index * payloadKinds.length + payloadKinds.indexOf(kind);
}

function outputOf(bytes: Uint8Array, code: number, types: readonly string[]): Payload {
  const kind = payloadKinds[code % payloadKinds.length] as Payload["kind"];
  return { kind, type: types[Math.floor(code / payloadKinds.length)] as string, bytes };
}
