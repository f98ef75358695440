import type { DatabaseSync } from "node:sqlite";
import type { Submitted } from "../store.ts";
import type { BytesReader } from "./bytes.ts";
import type { Channels } from "./channels.ts";
import { prepareQuery } from "./connection.ts";
import type { Counters } from "./counters.ts";
import { checksum, inRow, type Payloads } from "./payloads.ts";
import { type Calls, type JobCells, QUEUED } from "./protocol.ts";

type Tables = { readonly channels: Channels; readonly counters: Counters; readonly payloads: Payloads };

/** Stores jobs that are new and says of the others what they are. */
export function createSubmit(db: DatabaseSync, { channels, counters, payloads }: Tables) {
  const insert = db.prepare(`
    INSERT INTO job (seq, id, client, channel, pool, task, state, attempt, max_attempts, fence, crashes,
      run_at, submitted_at, trace, input_kind, input_type, input, input_crc)
    VALUES (?, ?, ?, ?, ?, ?, ${QUEUED}, 0, ?, 0, 0, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING`);
  const find = prepareQuery<KnownRow>(
    db,
    "SELECT seq, client, channel, task, cursor, input_kind, input_type, input FROM job WHERE id = ?",
  );

  function submitOne(cells: JobCells, input: Uint8Array | null): Submitted | null {
    const [id, client, channel, pool, task, maxAttempts, runAt, submittedAt, trace, kind, type] = cells;
    const seq = counters.nextSeq();
    const channelId = channels.of(client, channel).id;
    const crc = checksum({ id, client, task }, [kind, type], input);
    // biome-ignore format: one line per line of the statement
    const { changes } = insert.run(seq, id, client, channelId, pool, task, maxAttempts,
      runAt, submittedAt, trace, kind, type, inRow(input), crc);
    if (changes === 0) return compare(find.get(id)!, cells, input);
    payloads.setApart(seq, "input", input);
    counters.takeSeq(seq);
    counters.add(pool, QUEUED, 1);
    return null;
  }

  function compare(known: KnownRow, cells: JobCells, input: Uint8Array | null): Submitted {
    const [seq, client, channelId, task, cursor, kind, type, held] = known;
    if (client !== cells[1]) return { kind: "taken" };
    const differs: string[] = [];
    if (task !== cells[4]) differs.push("task");
    if (channels.byId(channelId).name !== cells[2]) differs.push("channel");
    const stored = payloads.fetch(seq, "input", kind, held);
    if (kind !== cells[9] || type !== cells[10] || !sameBytes(stored, input)) differs.push("input");
    return differs.length === 0 ? { kind: "duplicate", cursor } : { kind: "conflict", differs };
  }

  return (jobs: Calls["submit"]["request"], bytes: BytesReader): Calls["submit"]["answer"] =>
    jobs.map((cells) => submitOne(cells, cells[9] === null ? null : bytes.take(cells[11])));
}

type KnownRow = [
  seq: number,
  client: string,
  channel: number,
  task: string,
  cursor: number | null,
  kind: number | null,
  type: string | null,
  input: Uint8Array<ArrayBuffer> | null,
];

function sameBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === null || b === null ? a === b : Buffer.compare(a, b) === 0;
}
