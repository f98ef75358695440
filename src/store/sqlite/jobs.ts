import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import type { Payload, StoredJob } from "../../job/job.ts";
import type { Channels } from "./channels.ts";
import { assertChecksum, checksum, type Payloads } from "./payloads.ts";
import { type Calls, payloadKinds, states } from "./protocol.ts";

type Tables = { readonly channels: Channels; readonly payloads: Payloads };

const columns = `seq, id, client, channel, task, pool, state, attempt, max_attempts, submitted_at, run_at, started_at,
  finished_at, failure, cursor`;

/** Looks at jobs one by one or page by page. */
export function createJobs(db: DatabaseSync, { channels, payloads }: Tables) {
  const byId = db.prepare(
    `SELECT ${columns}, output_kind, output_type, output, output_crc FROM job WHERE id = ? AND client = ?`,
  );
  const ofClient = db.prepare(`
    SELECT ${columns} FROM job INDEXED BY job_of_client
    WHERE client = :client AND seq < :beforeSeq
      AND (:state IS NULL OR state = :state)
      AND (:task IS NULL OR task = :task)
      AND (:channel IS NULL OR channel = :channel)
    ORDER BY seq DESC LIMIT :limit`);

  function outputOf(row: OutputRow): Payload | null {
    const bytes = payloads.fetch(row.seq, "output", row.output_kind, row.output);
    if (row.output_crc !== null) {
      const cells = [row.output_kind, row.output_type, row.failure];
      assertChecksum("output", row, row.output_crc, checksum(row, cells, bytes));
    }
    return bytes && { kind: payloadKinds[row.output_kind!]!, type: row.output_type!, bytes };
  }

  function toStored(row: Row, output: Payload | null): StoredJob {
    const { seq, id, client, task, pool, cursor } = row;
    return {
      seq,
      id,
      client,
      task,
      pool,
      channel: channels.byId(row.channel).name,
      state: states[row.state]!,
      attempts: row.attempt,
      maxAttempts: row.max_attempts,
      submittedAt: row.submitted_at,
      runAt: row.run_at,
      startedAt: row.started_at,
      finishedAt: row.finished_at,
      output,
      failure: row.failure === null ? null : JSON.parse(row.failure),
      cursor,
    };
  }

  return {
    get: ({ client, id }: Calls["get"]["request"]): Calls["get"]["answer"] => {
      const row = byId.get(id, client) as OutputRow | undefined;
      return row ? toStored(row, outputOf(row)) : null;
    },
    list: ({ client, limit, beforeSeq, state, task, channel: name }: Calls["list"]["request"]) => {
      const channel = name === null ? null : channels.find(client, name);
      if (channel === undefined) return [];
      const rows = ofClient.all({
        client,
        limit,
        task,
        beforeSeq: beforeSeq ?? Number.MAX_SAFE_INTEGER,
        state: state && states.indexOf(state),
        channel: channel && channel.id,
      }) as Row[];
      return rows.map((row) => toStored(row, null));
    },
  };
}

type Row = Record<string, SQLOutputValue> & {
  seq: number;
  id: string;
  client: string;
  channel: number;
  task: string;
  pool: string;
  state: number;
  attempt: number;
  max_attempts: number;
  submitted_at: number;
  run_at: number;
  started_at: number | null;
  finished_at: number | null;
  failure: string | null;
  cursor: number | null;
};
type OutputRow = Row & {
  output_kind: number | null;
  output_type: string | null;
  output: Uint8Array | null;
  output_crc: number | null;
};
