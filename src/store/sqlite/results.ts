import type { DatabaseSync } from "node:sqlite";
import type { Acked, AckRequest } from "../store.ts";
import type { BytesWriter } from "./bytes.ts";
import type { Channels } from "./channels.ts";
import { prepareQuery } from "./connection.ts";
import { assertChecksum, checksum, type Payloads } from "./payloads.ts";
import type { Calls, ResultCells } from "./protocol.ts";

type Tables = { readonly channels: Channels; readonly payloads: Payloads };

/** Reads a channel's results and acknowledges them. */
export function createResults(db: DatabaseSync, { channels, payloads }: Tables) {
  const after = prepareQuery<Row>(
    db,
    `SELECT cursor, id, task, state, attempt, submitted_at, started_at, finished_at, failure,
       output_kind, output_type, output, output_crc, seq
     FROM job INDEXED BY job_result WHERE channel = ? AND cursor > ? ORDER BY cursor LIMIT ?`,
  );

  function results(request: Calls["results"]["request"], bytes: BytesWriter): Calls["results"]["answer"] {
    const { client, afterCursor, limit, maxBytes } = request;
    const channel = channels.find(client, request.channel);
    if (!channel) return { results: [], lastCursor: 0 };
    const found: ResultCells[] = [];
    let total = 0;
    for (const row of after.all(channel.id, Math.max(afterCursor, channel.acked), limit)) {
      const [cursor, id, task, state, attempts, submittedAt, startedAt, finishedAt, failure] = row;
      const [kind, type, inRow, crc, seq] = [row[9], row[10], row[11], row[12], row[13]];
      const output = payloads.fetch(seq, "output", kind, inRow);
      const size = output === null ? 0 : output.length;
      total += size + (failure === null ? 0 : Buffer.byteLength(failure));
      if (found.length > 0 && total > maxBytes) break;
      const job = { id, client, task };
      assertChecksum("output", job, crc, checksum(job, [kind, type, failure], output));
      if (output !== null) bytes.put(output);
      // biome-ignore format: as in the type
      found.push([cursor, id, task, state, attempts, submittedAt, startedAt, finishedAt, failure,
        kind, type, size]);
    }
    return { results: found, lastCursor: channel.last };
  }

  function ackOne({ client, channel: name, cursor }: AckRequest): Acked {
    const channel = channels.find(client, name);
    const last = channel ? channel.last : 0;
    if (cursor > last) return { kind: "out_of_range", lastCursor: last };
    if (!channel) return { kind: "acknowledged", cursor: 0 };
    if (cursor > channel.acked) {
      channel.acked = cursor;
      channels.touch(channel);
    }
    return { kind: "acknowledged", cursor: channel.acked };
  }

  return { results, ack: (requests: Calls["ack"]["request"]): Calls["ack"]["answer"] => requests.map(ackOne) };
}

type Row = [
  cursor: number,
  id: string,
  task: string,
  state: number,
  attempts: number,
  submittedAt: number,
  startedAt: number | null,
  finishedAt: number,
  failure: string | null,
  kind: number | null,
  type: string | null,
  output: Uint8Array<ArrayBuffer> | null,
  crc: number,
  seq: number,
];
