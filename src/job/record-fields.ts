/** What the records of a job and of its endings have in common: payloads and labels. */
import type { Labels, Payload } from "./job.ts";
import { WireReader, WireWriter } from "./wire.ts";

/** Of all records: each is written in one go. */
export const writer = new WireWriter();

/** As they are written: by their place. */
export const payloadKinds = ["message", "json", "data"] as const satisfies readonly Payload["kind"][];

export const noBytes = new Uint8Array();

/** Takes this field number and the next two. */
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
  for (const name in labels) {
    const begun = writer.beginMessage(field);
    writer.string(1, name);
    writer.string(2, labels[name] as string);
    writer.endMessage(begun);
  }
}

export function withLabel(labels: Labels, message: Buffer): Labels {
  const reader = new WireReader(message);
  let name = "";
  let value = "";
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) name = reader.string();
    else if (field === 2) value = reader.string();
    else reader.skip();
  }
  return { ...labels, [name]: value };
}
