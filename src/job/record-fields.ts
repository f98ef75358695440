/** The common fields of the records of jobs and endings: payloads and labels. */
import type { Labels, Payload } from "./job.ts";
import { WireWriter } from "./wire.ts";

/** Shared by all records, because each is written synchronously. */
export const writer = new WireWriter();

/** Encoded as indices: the order must not change. */
export const payloadKinds = ["message", "json", "data"] as const satisfies readonly Payload["kind"][];

export const noBytes = new Uint8Array();

/** Uses this field number and the next two. */
export function writePayload(field: number, payload: Payload | null): void {
  if (payload === null) return;
  writer.uint(field, payloadKinds.indexOf(payload.kind));
  if (payload.type !== "") writer.string(field + 1, payload.type);
  writer.bytes(field + 2, payload.bytes);
}

export function payloadOf(kind: number, type: string, bytes: Uint8Array): Payload | null {
  const name = payloadKinds[kind];
  return name === undefined ? null : { kind: name, type, bytes };
}

export function writeLabels(field: number, labels: Labels): void {
  if (Object.keys(labels).length > 0) writer.string(field, JSON.stringify(labels));
}
