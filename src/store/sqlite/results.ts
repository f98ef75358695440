import type { DatabaseSync } from "node:sqlite";
import type { Acked, AckRequest } from "../store.ts";
import type { BytesWriter } from "./bytes.ts";
import { isOutputChecksum } from "./checksums.ts";
import { prepareQuery } from "./connection.ts";
import { type Calls, DEAD, deadReasons, type ResultCells } from "./protocol.ts";
import type { Tables } from "./tables.ts";

const columns = `cursor, id, task, state, attempt, submitted_at, started_at, finished_at, failure,
  output_kind, output_type, output, output_crc, dead_reason, redrives, options`;
/** Damaged rows remembered; beyond it all are looked for again. */
const remembered = 10_000;
const permanent = deadReasons.indexOf("permanent");

/** Reads a channel's results and acknowledges them. */
export function createResults(db: DatabaseSync, { channels, damage, payloads }: Tables) {
  const ofJobs = `SELECT ${columns}, seq FROM job INDEXED BY job_result WHERE channel = ?1 AND cursor > ?2`;
  const after = prepareQuery<Row>(db, `${ofJobs} ORDER BY cursor LIMIT ?3`);
  const afterWithFormers = prepareQuery<Row>(
    db,
    `${ofJobs} UNION ALL SELECT ${columns}, 0 FROM former_result WHERE channel = ?1 AND cursor > ?2
     ORDER BY cursor LIMIT ?3`,
  );

  const indexed = prepareQuery<[id: string]>(db, "SELECT id FROM job INDEXED BY sqlite_autoindex_job_1 WHERE seq = ?");
  const looked = new Map<number, string>();

  /** A job's id stands in its row and in the index of ids: where the one is damaged the other may not be. Looked for once. */
  function idInIndex(seq: number, stored: string): string {
    if (looked.size >= remembered) looked.clear();
    const id = looked.get(seq) ?? indexed.get(seq)?.[0] ?? stored;
    looked.set(seq, id);
    return id;
  }

  function results(request: Calls["results"]["request"], bytes: BytesWriter): Calls["results"]["answer"] {
    const { client, afterCursor, limit, maxBytes } = request;
    const channel = channels.find(client, request.channel);
    if (!channel) return { results: [], lastCursor: 0, ackedCursor: 0 };
    const rows = channel.formers > 0 ? afterWithFormers : after;
    const found: ResultCells[] = [];
    let total = 0;
    for (const row of rows.all(channel.id, Math.max(afterCursor, channel.acked), limit)) {
      const [cursor, stored, task, state, attempts, submittedAt, startedAt, finishedAt, failure] = row;
      const [kind, type, inRow, crc] = [row[9], row[10], row[11], row[12]];
      const [deadReason, redrives, options, seq] = [row[13], row[14], row[15], row[16]];
      const output = payloads.fetch(seq, "output", kind, inRow);
      const size = output === null ? 0 : output.length;
      total += size + (failure === null ? 0 : Buffer.byteLength(failure));
      if (found.length > 0 && total > maxBytes) break;
      const ending = { state, attempts, startedAt, finishedAt, deadReason, submittedAt, redrives, options };
      const isOf = (id: string) => isOutputChecksum(crc, { id, client, task }, kind, type, failure, output, ending);
      const isSound = isOf(stored);
      const id = isSound ? stored : idInIndex(seq, stored);
      if (!isSound && isOf(id)) damage.mended(id);
      else if (!isSound) {
        // Whatever it was, it must not look like a success without an output.
        const damaged = JSON.stringify(damage.found("output", id));
        // biome-ignore format: as in the type
        found.push([cursor, id, task, DEAD, attempts, submittedAt, startedAt, finishedAt, damaged,
          null, null, 0, permanent, redrives, options]);
        continue;
      }
      if (output !== null) bytes.put(output);
      // biome-ignore format: as in the type
      found.push([cursor, id, task, state, attempts, submittedAt, startedAt, finishedAt, failure,
        kind, type, size, deadReason, redrives, options]);
    }
    return { results: found, lastCursor: channel.last, ackedCursor: channel.acked };
  }

  function ackOne({ client, channel: name, cursor }: AckRequest): Acked {
    const channel = channels.find(client, name);
    const last = channel ? channel.last : 0;
    if (cursor > last) return { kind: "out_of_range", lastCursor: last };
    if (!channel) return { kind: "acknowledged", cursor: 0 };
    if (cursor > channel.acked) channels.acknowledge(channel, cursor);
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
  deadReason: number | null,
  redrives: number,
  options: string | null,
  seq: number,
];
