/** Over what is written once: what a job was submitted with, and how it ended. See row-sum.ts for what changes. */
import { crc32 } from "node:zlib";

/** Whose cells they are: bytes that belong to another job are wrong bytes. */
export type Identity = { readonly id: string; readonly client: string; readonly task: string };

/** What a job was submitted with besides its input and its options. */
export type Terms = {
  readonly channel: number;
  readonly pool: string;
  readonly maxAttempts: number;
  readonly submittedAt: number;
  readonly trace: string | null;
  readonly priority: number;
  readonly idempotencyKey: string | null;
};

/** How a final job ended, and what else its result says. */
export type Ending = {
  readonly state: number;
  readonly attempts: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  readonly deadReason: number | null;
  readonly submittedAt: number;
  readonly redrives: number;
  readonly options: string | null;
};

export function inputChecksum(
  job: Identity,
  kind: number | null,
  type: string | null,
  options: string | null,
  bytes: Uint8Array | null,
  terms: Terms | null,
): number {
  let cells = `${kind ?? ""}\n${type ?? ""}`;
  if (options !== null) cells += `\n${options}`;
  if (terms === null) return checksum(job, cells, bytes);
  const { channel, pool, maxAttempts, submittedAt, trace, priority, idempotencyKey } = terms;
  cells += `\n${pool}`;
  if (trace !== null || idempotencyKey !== null) cells += `\n${trace ?? ""}\n${idempotencyKey ?? ""}`;
  return checksum(job, cells, bytes, [channel, maxAttempts, submittedAt, priority]);
}

/** `ending` is null of a job that is not final. */
export function outputChecksum(
  job: Identity,
  kind: number | null,
  type: string | null,
  failure: string | null,
  bytes: Uint8Array | null,
  ending: Ending | null,
): number {
  const cells = `${kind ?? ""}\n${type ?? ""}\n${failure ?? ""}`;
  if (ending === null) return checksum(job, cells, bytes);
  const { state, attempts, startedAt, finishedAt, deadReason, submittedAt, redrives, options } = ending;
  const numbers = [state, attempts, startedAt, finishedAt, deadReason, submittedAt, redrives];
  return checksum(job, options === null ? cells : `${cells}\n${options}`, bytes, numbers);
}

/** Whether this is the checksum of an input. Version 1 left the terms out. */
export function isInputChecksum(crc: number, ...[job, kind, type, options, bytes, terms]: InputCells): boolean {
  if (crc === inputChecksum(job, kind, type, options, bytes, terms)) return true;
  return crc === inputChecksum(job, kind, type, options, bytes, null);
}

/** Whether this is the checksum of an output. Version 1 left the ending out. */
export function isOutputChecksum(crc: number, ...[job, kind, type, failure, bytes, ending]: OutputCells): boolean {
  if (crc === outputChecksum(job, kind, type, failure, bytes, ending)) return true;
  return ending !== null && crc === outputChecksum(job, kind, type, failure, bytes, null);
}

type InputCells = Parameters<typeof inputChecksum>;
type OutputCells = Parameters<typeof outputChecksum>;

/** CRC-32 over a job's identity, what else its columns say, and a payload's bytes; numbers are where it begins. */
function checksum(
  job: Identity,
  cells: string,
  bytes: Uint8Array | null,
  numbers: readonly (number | null)[] = [],
): number {
  const crc = crc32(`${job.id}\n${job.client}\n${job.task}\n${cells}`, digest(numbers));
  return bytes === null ? crc : crc32(bytes, crc);
}

/** Cheaper than their texts: several such checksums are computed of each job. A bit that turns over always shows. */
function digest(numbers: readonly (number | null)[]): number {
  let sum = 0;
  for (const number of numbers) sum = (sum * 31 + (number ?? -1)) % largestPrime;
  return sum < 0 ? sum + largestPrime : sum;
}

/** Below 2^32. */
const largestPrime = 4_294_967_291;
