import { deadReasons, decodeResult, states } from "../../../job/ending.ts";
import { decodeJob } from "../../../job/record.ts";
import type { JobFilter } from "../../store.ts";
import { textOfId } from "../thread/columns.ts";
import type { Sql } from "../thread/connection.ts";
import { DEAD, QUEUED, RUNNING, type StoredAnswer, type Verbs } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import { type Bytes, withProgress, withProgressAndEnd } from "./job-rows.ts";

/** Bound on the rows per call: a rare kind of job among millions is found by several short calls. */
const rowsPerScan = 10_000;

const dead = 1 << DEAD;
const any = (1 << states.length) - 1;

/** `record` and `ending` are only read if the filter needs them. */
type Row = [
  seq: number,
  id: Bytes,
  state: number | null,
  attempts: number | null,
  record: Bytes | null,
  ending: Bytes | null,
];

/** The conditions that SQL can decide; jobs without an ending are QUEUED or RUNNING, which only the leases know. */
const matching = `(:unended OR ended.state IS NOT NULL)
  AND (ended.state IS NULL OR (:states >> ended.state) & 1)
  AND (:task IS NULL OR job.task = :task)
  AND (:pool IS NULL OR job.pool = :pool)
  AND (:channel IS NULL OR job.channel = :channel)
  AND (:submittedFrom IS NULL OR submitted_at >= :submittedFrom)
  AND (:submittedBefore IS NULL OR submitted_at < :submittedBefore)
  AND (:deadReason IS NULL OR dead_reason = :deadReason)`;

/** The indexes that are searched: DEAD jobs have one of their own, because they are few among many. */
const sources = {
  all: {
    index: "job INDEXED BY job_of_client",
    withJob: withProgressAndEnd,
    ofClient: "job.client = :client AND job.seq",
  },
  dead: {
    index: "ended INDEXED BY dead_of_client",
    withJob: `CROSS JOIN job NOT INDEXED ON job.seq = ended.seq AND job.client = ended.client ${withProgress}`,
    ofClient: `ended.state = ${DEAD} AND ended.id IS NULL AND ended.client = :client AND ended.seq`,
  },
};

/** Reads a client's jobs page by page. */
export function createPages(
  sql: Sql,
  tables: Tables,
  describeShown: (seq: number, output: Uint8Array[]) => StoredAnswer,
) {
  const { channels, history, leases, names } = tables;
  const oldestFirst = { all: prepareScan("all", false), dead: prepareScan("dead", false) };
  const newestFirst = { all: prepareScan("all", true), dead: prepareScan("dead", true) };

  function prepareScan(source: keyof typeof sources, isNewestFirst: boolean) {
    const { index, withJob, ofClient } = sources[source];
    const [isBehind, isWithin, order] = isNewestFirst ? ["<", ">=", "DESC"] : [">", "<=", ""];
    const seq = source === "all" ? "job.seq" : "ended.seq";
    return {
      last: sql<[seq: number]>`
        SELECT seq FROM ${index} WHERE ${ofClient} ${isBehind} :from ORDER BY seq ${order} LIMIT 1 OFFSET ${rowsPerScan - 1}`,
      rows: sql<Row>`
        SELECT ${seq}, job.id, ended.state, progress.attempt, iif(:readsRecord, job.record, NULL), iif(:readsEnding, ended.ending, NULL)
        FROM ${index} ${withJob}
        WHERE ${ofClient} ${isBehind} :from AND ${seq} ${isWithin} :to AND ${matching} ORDER BY ${seq} ${order}`,
    };
  }

  /** The conditions that SQL cannot decide. */
  function matches([seq, , ended, progressed, record, ending]: Row, wanted: number, filter: JobFilter): boolean {
    const lease = leases.running.get(seq);
    const state = ended ?? (lease ? RUNNING : QUEUED);
    if (((wanted >> state) & 1) === 0) return false;
    const labels = record && read(() => decodeJob(record).labels);
    if (!Object.entries(filter.labels).every(([name, value]) => labels?.[name] === value)) return false;
    if (filter.failureReason === null) return true;
    const attempts = lease?.attempt ?? progressed ?? 0;
    const newest = ending ?? (attempts > 0 ? history.newest(seq) : undefined);
    return newest !== undefined && read(() => decodeResult(newest, 0).failure?.reason) === filter.failureReason;
  }

  /** The first matching rows from this `seq` on. `nextSeq`: where the next page starts; null: there are no more. */
  function page(
    scans: typeof oldestFirst,
    request: { readonly client: string; readonly filter: JobFilter; readonly limit: number },
    wanted: number,
    from: number,
  ): { readonly rows: Row[]; readonly nextSeq: number | null } {
    const { filter, limit } = request;
    const rows: Row[] = [];
    const given = parameters(request.client, filter, wanted);
    if (!given) return { rows, nextSeq: null };
    const scan = wanted === dead ? scans.dead : scans.all;
    const end = scan.last.get({ client: given.client, from })?.[0] ?? null;
    const to = end ?? (scans === newestFirst ? 0 : Number.MAX_SAFE_INTEGER);
    for (const row of scan.rows.iterate({ ...given, from, to })) {
      if (matches(row, wanted, filter)) rows.push(row);
      if (rows.length === limit) return { rows, nextSeq: row[0] };
    }
    return { rows, nextSeq: end };
  }

  /** Undefined: the filter has a name that never existed, so nothing matches. */
  function parameters(clientName: string, filter: JobFilter, wanted: number) {
    const { submittedFrom, submittedBefore, deadReason, failureReason } = filter;
    const client = names.find(clientName);
    if (client === undefined) return undefined;
    const task = filter.task === null ? null : names.find(filter.task);
    const pool = filter.pool === null ? null : names.find(filter.pool);
    const channel = filter.channel === null ? null : channels.find(client, filter.channel)?.id;
    if (task === undefined || pool === undefined || channel === undefined) return undefined;
    return {
      ...{
        client,
        task,
        pool,
        channel,
        submittedFrom,
        submittedBefore,
        states: wanted,
        unended: wanted & 0b11 ? 1 : 0,
      },
      ...{ readsRecord: Object.keys(filter.labels).length, readsEnding: failureReason === null ? 0 : 1 },
      deadReason: deadReason && deadReasons.indexOf(deadReason),
    };
  }

  return {
    list: (request, _, output) => {
      const { state, beforeSeq } = request;
      const wanted = state === null ? any : 1 << states.indexOf(state);
      const { rows, nextSeq } = page(newestFirst, request, wanted, beforeSeq ?? Number.MAX_SAFE_INTEGER);
      return { jobs: rows.map(([seq]) => describeShown(seq, output)), nextSeq };
    },
    find: (request) => {
      const wanted = request.states.reduce((bits, state) => bits | (1 << states.indexOf(state)), 0);
      const { rows, nextSeq } = page(oldestFirst, request, wanted, request.afterSeq);
      return { ids: rows.map(([, id]) => textOfId(id)), nextSeq };
    },
  } satisfies Partial<Verbs>;
}

/** Undefined: the bytes are damaged, and match nothing. */
function read<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}
