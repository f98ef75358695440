/**
 * Compares the contents of two submits. Times and the trace do not count, because a repeated delay leads to another
 * time.
 */
import { isDeepStrictEqual } from "node:util";
import type { NewJob } from "./job.ts";
import { decodeJob, digestOf } from "./record.ts";

/** The compared fields, by their names in the protocol. */
export type ContentField =
  | ("task" | "channel" | "discard_result" | "input" | "priority" | "max_attempts")
  | ("labels" | "timeout" | "retry");

/**
 * The fields in which a submit differs from an earlier one. `known`: the record of that, or what its idempotency key
 * remembers. Empty: they are the same.
 */
export function differences(known: Uint8Array, given: NewJob): ContentField[] {
  const before = decodeJob(known);
  const differs: ContentField[] = [];
  if (before.task !== given.task) differs.push("task");
  if (before.channel !== given.channel) {
    differs.push(before.channel === null || given.channel === null ? "discard_result" : "channel");
  }
  if (!hasSameInput(before, given)) differs.push("input");
  if (before.priority !== given.priority) differs.push("priority");
  if (before.maxAttempts !== given.maxAttempts) differs.push("max_attempts");
  if (!isDeepStrictEqual(before.labels, given.labels)) differs.push("labels");
  if (before.timeoutMs !== given.timeoutMs) differs.push("timeout");
  if (!isDeepStrictEqual(before.retry, given.retry)) differs.push("retry");
  return differs;
}

function hasSameInput({ input: known, inputDigest }: ReturnType<typeof decodeJob>, { input }: NewJob): boolean {
  if (input === null) return known === null && inputDigest === null;
  if (inputDigest) return Buffer.compare(inputDigest, digestOf(input)) === 0;
  return known?.kind === input.kind && known.type === input.type && Buffer.compare(known.bytes, input.bytes) === 0;
}
