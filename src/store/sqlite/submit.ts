import type { DatabaseSync } from "node:sqlite";
import { differingChannel } from "../../job/options.ts";
import type { ContentField, Submitted } from "../store.ts";
import type { BytesReader } from "./bytes.ts";
import { inputChecksum, type Terms } from "./checksums.ts";
import { prepareQuery } from "./connection.ts";
import type { Keys } from "./keys.ts";
import { differingTexts } from "./text.ts";
import { inRow } from "./payloads.ts";
import { type Calls, type JobCells, noWishes, QUEUED } from "./protocol.ts";
import { jobSum } from "./row-sum.ts";
import type { Tables } from "./tables.ts";

/** Stores jobs that are new and says of the others what they are. */
export function createSubmit(db: DatabaseSync, tables: Tables, keys: Keys) {
  const { channels, counters, deadlines, payloads } = tables;
  const insert = db.prepare(`
    INSERT INTO job (seq, id, client, channel, pool, task, state, attempt, max_attempts, fence, crashes,
      run_at, submitted_at, trace, input_kind, input_type, input, input_crc, row_sum)
    VALUES (?, ?, ?, ?, ?, ?, ${QUEUED}, 0, ?, 0, 0, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING`);
  const grant = db.prepare(`
    UPDATE job SET channel = ?, priority = ?, expires_at = ?, idempotency_key = ?, options = ?, input_crc = ?,
      row_sum = ?
    WHERE seq = ?`);
  const find = prepareQuery<KnownRow>(
    db,
    `SELECT seq, client, channel, task, cursor, input_kind, input_type, input, priority, max_attempts, options
     FROM job WHERE id = ?`,
  );

  function submitOne(cells: JobCells, input: Uint8Array | null): Submitted | null {
    const [id, client, channel, pool, task, maxAttempts, runAt, submittedAt, trace, kind, type] = cells;
    const [priority, expiresAt, key, options] = cells[12] ?? noWishes;
    if (key !== null) {
      const known = find.get(id);
      const used = known ? undefined : keys.find(cells, input);
      if (used) return answerForKey(used.id, used.differs);
    }
    if (expiresAt !== null && expiresAt <= runAt) {
      const known = find.get(id);
      return known ? compare(known, cells, input) : { kind: "late" };
    }
    const seq = counters.nextSeq();
    // A channel of a job that is not stored is not made.
    const channelId = channels.find(client, channel)?.id ?? unknownChannel;
    const terms = { channel: channelId, pool, maxAttempts, submittedAt, trace, priority, idempotencyKey: key };
    const checksumOf = (all: Terms) => inputChecksum({ id, client, task }, kind, type, options, input, all);
    const crc = checksumOf(terms);
    const numbers = { submitted_at: submittedAt, expires_at: null };
    // biome-ignore format: one line per line of the statement
    const { changes } = insert.run(seq, id, client, channelId, pool, task, maxAttempts,
      runAt, submittedAt, trace, kind, type, inRow(input), crc, jobSum.of({ ...numbers, channel: channelId }));
    if (changes === 0) return compare(find.get(id)!, cells, input);
    if (cells[12] !== null || channelId === unknownChannel) {
      const { id: chosen } = channels.of(client, channel);
      const finalCrc = chosen === channelId ? crc : checksumOf({ ...terms, channel: chosen });
      const sum = jobSum.of({ ...numbers, expires_at: expiresAt, channel: chosen });
      grant.run(chosen, priority, expiresAt, key, options, finalCrc, sum, seq);
    }
    payloads.setApart(seq, "input", input);
    if (expiresAt !== null) deadlines.add(pool, expiresAt, seq);
    if (key !== null) keys.take(cells, input);
    counters.takeSeq(seq);
    counters.stored(submittedAt);
    counters.add(pool, QUEUED, 1);
    return null;
  }

  function answerForKey(id: string, differs: readonly ContentField[]): Submitted {
    if (differs.length > 0) return { kind: "conflict", id, by: "key", differs };
    const known = find.get(id);
    return { kind: "duplicate", id, cursor: known ? cursorOf(known) : null };
  }

  function compare(known: KnownRow, cells: JobCells, input: Uint8Array | null): Submitted {
    const [seq, client, channelId, task, , kind, type, held, priority, maxAttempts, options] = known;
    const id = cells[0];
    if (client !== cells[1]) return { kind: "taken" };
    const differs: ContentField[] = [];
    if (task !== cells[4]) differs.push("task");
    const channel = channels.nameOf(channelId);
    if (channel !== cells[2]) differs.push(differingChannel(channel, cells[2]));
    const stored = payloads.fetch(seq, "input", kind, held);
    if (kind !== cells[9] || type !== cells[10] || !sameBytes(stored, input)) differs.push("input");
    const [wantedPriority, , , wantedOptions] = cells[12] ?? noWishes;
    if (priority !== wantedPriority) differs.push("priority");
    if (maxAttempts !== cells[5]) differs.push("max_attempts");
    if (options !== wantedOptions) differs.push(...differingTexts(options, wantedOptions));
    if (differs.length > 0) return { kind: "conflict", id, by: "id", differs };
    return { kind: "duplicate", id, cursor: cursorOf(known) };
  }

  /** Results without a channel are not read. */
  function cursorOf(known: KnownRow): number | null {
    return channels.nameOf(known[2]) === null ? null : known[4];
  }

  return (jobs: Calls["submit"]["request"], bytes: BytesReader): Calls["submit"]["answer"] =>
    jobs.map((cells) => submitOne(cells, cells[9] === null ? null : bytes.take(cells[11])));
}

/** Stands for a channel that is about to be made. */
const unknownChannel = 0;

type KnownRow = [
  seq: number,
  client: string,
  channel: number,
  task: string,
  cursor: number | null,
  kind: number | null,
  type: string | null,
  input: Uint8Array<ArrayBuffer> | null,
  priority: number,
  maxAttempts: number,
  options: string | null,
];

function sameBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === null || b === null ? a === b : Buffer.compare(a, b) === 0;
}
