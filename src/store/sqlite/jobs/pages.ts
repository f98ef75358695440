import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { deadReasons, decodeResult, states } from "../../../job/ending.ts";
import { decodeJob } from "../../../job/record.ts";
import type { JobFilter } from "../../store.ts";
import type { BytesWriter } from "../thread/bytes.ts";
import { textOfId } from "../thread/columns.ts";
import { prepareNamed, prepareTuples } from "../thread/connection.ts";
import { type Calls, DEAD, QUEUED, RUNNING, type StoredAnswer } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import { createDescribe, describing } from "./describe.ts";
import { behindStored, toState, withProgress, withProgressAndEnd } from "./stored-jobs.ts";

/** Bound on the rows that one call reads: several short calls find a rare kind of job among millions. */
export const rowsPerScan = 10_000;

const dead = 1 << DEAD;
const any = (1 << states.length) - 1;

/** What SQL can decide; jobs without an ending are QUEUED or RUNNING, which only the leases know. */
const matching = `(:unended OR ended.state IS NOT NULL)
  AND (ended.state IS NULL OR (:states >> ended.state) & 1)
  AND (:task IS NULL OR job.task = :task)
  AND (:pool IS NULL OR job.pool = :pool)
  AND (:channel IS NULL OR job.channel = :channel)
  AND (:submittedFrom IS NULL OR submitted_at >= :submittedFrom)
  AND (:submittedBefore IS NULL OR submitted_at < :submittedBefore)
  AND (:deadReason IS NULL OR dead_reason = :deadReason)`;

/** A client's jobs page by page. DEAD jobs are found by an index of their own, for they are few among many. */
export function createPages(db: DatabaseSync, tables: Tables) {
  const { history, leases } = tables;
  const { toAnswer } = createDescribe(db, tables);
  const scans = { all: prepareScans(db, "job"), dead: prepareScans(db, "ended") };

  /** What SQL cannot decide. */
  function matches(row: readonly unknown[], wanted: number, { labels, failureReason }: JobFilter): boolean {
    const { state, attempts, seq } = toState(row, leases);
    if (((wanted >> state) & 1) === 0) return false;
    const [record, ownEnding] = row.slice(behindStored) as [Uint8Array, Uint8Array | null];
    const given = hasAny(labels) ? read(() => decodeJob(record).labels) : {};
    if (!Object.entries(labels).every(([name, value]) => given?.[name] === value)) return false;
    if (failureReason === null) return true;
    const ending = ownEnding ?? (attempts > 0 ? history.newest(seq) : undefined);
    return ending !== undefined && read(() => decodeResult(ending, 0).failure?.reason) === failureReason;
  }

  /** The first rows that match. */
  function scan(
    statement: StatementSync,
    given: Bindings,
    wanted: number,
    filter: JobFilter,
    limit: number,
  ): unknown[][] {
    const found: unknown[][] = [];
    for (const row of statement.iterate(given) as unknown as Iterable<unknown[]>) {
      if (matches(row, wanted, filter)) found.push(row);
      if (found.length === limit) break;
    }
    return found;
  }

  /** The same where SQL decides all but what runs. */
  function quickScan(statement: StatementSync, given: Bindings, wanted: number, limit: number): unknown[][] {
    const found: unknown[][] = [];
    for (const row of statement.iterate(given) as unknown as Iterable<[number, number | null, Uint8Array]>) {
      const state = row[1] ?? (leases.running.has(row[0]) ? RUNNING : QUEUED);
      if ((wanted >> state) & 1) found.push(row);
      if (found.length === limit) break;
    }
    return found;
  }

  return {
    list: (request: Calls["list"]["request"], output: BytesWriter): Calls["list"]["answer"] => {
      const { client, filter, state, limit, beforeSeq } = request;
      const wanted = state === null ? any : 1 << states.indexOf(state);
      const { list, lowest } = wanted === dead ? scans.dead : scans.all;
      const given = parameters(tables, client, filter, wanted);
      if (!given) return { jobs: [], nextSeq: null };
      const before = beforeSeq ?? Number.MAX_SAFE_INTEGER;
      const end = lowest.get({ client: given.client, before })?.[0] ?? null;
      const rows = scan(list, { ...given, before, end: end ?? 0 }, wanted, filter, limit);
      const nextSeq = rows.length === limit ? (rows.at(-1)![0] as number) : end;
      return { jobs: rows.map((row): StoredAnswer => toAnswer(row, output)), nextSeq };
    },
    find: (request: Calls["find"]["request"]): Calls["find"]["answer"] => {
      const { client, filter, states: asked, afterSeq: after, limit } = request;
      let wanted = 0;
      for (const state of asked) wanted |= 1 << states.indexOf(state);
      const { find, quickFind, highest } = wanted === dead ? scans.dead : scans.all;
      const given = parameters(tables, client, filter, wanted);
      if (!given) return { ids: [], nextSeq: null };
      const end = highest.get({ client: given.client, after })?.[0] ?? null;
      const bounds = { ...given, after, end: end ?? Number.MAX_SAFE_INTEGER };
      const isQuick = filter.failureReason === null && !hasAny(filter.labels);
      const rows = isQuick ? quickScan(quickFind, bounds, wanted, limit) : scan(find, bounds, wanted, filter, limit);
      const nextSeq = rows.length === limit ? (rows.at(-1)![0] as number) : end;
      return { ids: rows.map((row) => textOfId(row.at(-1) as Uint8Array)), nextSeq };
    },
  };
}

type Bindings = Record<string, SQLInputValue>;

/** `table`: the one whose index is walked; with `ended` it is that of DEAD jobs. */
function prepareScans(db: DatabaseSync, table: "job" | "ended") {
  const edge = `LIMIT 1 OFFSET ${rowsPerScan - 1}`;
  const seq = `${table}.seq`;
  const [edges, from, ofClient] =
    table === "job"
      ? [
          "job INDEXED BY job_of_client",
          `job INDEXED BY job_of_client ${withProgressAndEnd}`,
          `WHERE job.client = :client AND ${seq}`,
        ]
      : [
          "ended INDEXED BY dead_of_client",
          `ended INDEXED BY dead_of_client CROSS JOIN job NOT INDEXED ON job.seq = ended.seq
          AND job.client = ended.client ${withProgress}`,
          `WHERE ended.state = ${DEAD} AND ended.id IS NULL AND ended.client = :client AND ${seq}`,
        ];
  const rows = `SELECT ${describing}, job.id FROM ${from} ${ofClient}`;
  return {
    lowest: prepareNamed<[number]>(db, `SELECT seq FROM ${edges} ${ofClient} < :before ORDER BY seq DESC ${edge}`),
    highest: prepareNamed<[number]>(db, `SELECT seq FROM ${edges} ${ofClient} > :after ORDER BY seq ${edge}`),
    list: prepareTuples(db, `${rows} < :before AND ${seq} >= :end AND ${matching} ORDER BY ${seq} DESC`),
    quickFind: prepareTuples(
      db,
      `SELECT ${seq}, ended.state, job.id FROM ${from} ${ofClient} > :after
       AND ${seq} <= :end AND ${matching} ORDER BY ${seq}`,
    ),
    find: prepareTuples(db, `${rows} > :after AND ${seq} <= :end AND ${matching} ORDER BY ${seq}`),
  };
}

/** Undefined when the filter names what never was: nothing matches. */
function parameters({ names, channels }: Tables, clientName: string, filter: JobFilter, wanted: number) {
  const { submittedFrom, submittedBefore, deadReason } = filter;
  const client = names.find(clientName);
  if (client === undefined) return undefined;
  const task = filter.task === null ? null : names.find(filter.task);
  const pool = filter.pool === null ? null : names.find(filter.pool);
  const channel = filter.channel === null ? null : channels.find(client, filter.channel)?.id;
  if (task === undefined || pool === undefined || channel === undefined) return undefined;
  return {
    ...{ client, task, pool, channel, submittedFrom, submittedBefore, states: wanted, unended: wanted & 0b11 ? 1 : 0 },
    deadReason: deadReason && deadReasons.indexOf(deadReason),
  };
}

function hasAny(labels: object): boolean {
  for (const _ in labels) return true;
  return false;
}

/** Undefined where the bytes are damaged: they match nothing. */
function read<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}
