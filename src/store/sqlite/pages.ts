import type { DatabaseSync } from "node:sqlite";
import type { JobFilter } from "../store.ts";
import type { Channels } from "./channels.ts";
import { prepareNamed } from "./connection.ts";
import { describing, type Row, toStored } from "./jobs.ts";
import { type Calls, DEAD, deadReasons, states } from "./protocol.ts";
import type { Tables } from "./tables.ts";

/** One call looks at so many rows at most: a rare kind of job among millions is found by several short looks. */
export const rowsPerLook = 10_000;

const dead = 1 << DEAD;
const any = (1 << states.length) - 1;

/** States as bits. Labels as JSON; the text of a row may be damaged, and is nobody's then. */
const matching = `(:states >> state) & 1
  AND (:task IS NULL OR task = :task)
  AND (:pool IS NULL OR job.pool = :pool)
  AND (:channel IS NULL OR channel = :channel)
  AND (:submittedFrom IS NULL OR submitted_at >= :submittedFrom)
  AND (:submittedBefore IS NULL OR submitted_at < :submittedBefore)
  AND (:deadReason IS NULL OR dead_reason = :deadReason)
  AND (:failureReason IS NULL
    OR CASE WHEN json_valid(failure) THEN failure ->> '$.reason' = :failureReason ELSE 0 END)
  AND (:labels IS NULL OR CASE WHEN json_valid(options) THEN NOT EXISTS (
    SELECT 1 FROM json_each(:labels) AS wanted
    WHERE json_extract(job.options, '$.labels."' || wanted.key || '"') IS NOT wanted.value) ELSE 0 END)`;

/** A client's jobs page by page. Dead letters are found by a table of their own, for they are few among many. */
export function createPages(db: DatabaseSync, tables: Tables) {
  const { channels } = tables;
  const ofAll = "job INDEXED BY job_of_client";
  const ofDead = "dead_letter INDEXED BY dead_letter_of_client";
  const looks = {
    all: createLooks(db, "job", ofAll, ofAll),
    dead: createLooks(db, "dead_letter", ofDead, `${ofDead} CROSS JOIN job NOT INDEXED ON job.seq = dead_letter.seq`),
  };

  return {
    list: (request: Calls["list"]["request"]): Calls["list"]["answer"] => {
      const { client, filter, state, limit, beforeSeq } = request;
      const wanted = state === null ? any : 1 << states.indexOf(state);
      const { list, lowest } = wanted === dead ? looks.dead : looks.all;
      const given = parameters(channels, client, filter, wanted);
      if (!given) return { jobs: [], nextSeq: null };
      const before = beforeSeq ?? Number.MAX_SAFE_INTEGER;
      const end = lowest.get({ client, before })?.[0] ?? null;
      const rows = list.all({ ...given, before, end: end ?? 0, limit }) as Row[];
      const nextSeq = rows.length === limit ? rows.at(-1)!.seq : end;
      return { jobs: rows.map((row) => toStored(row, tables)), nextSeq };
    },
    find: (request: Calls["find"]["request"]): Calls["find"]["answer"] => {
      const { client, filter, states: asked, afterSeq: after, limit } = request;
      let wanted = 0;
      for (const state of asked) wanted |= 1 << states.indexOf(state);
      const { find, highest } = wanted === dead ? looks.dead : looks.all;
      const given = parameters(channels, client, filter, wanted);
      if (!given) return { ids: [], nextSeq: null };
      const end = highest.get({ client, after })?.[0] ?? null;
      const rows = find.all({ ...given, after, end: end ?? Number.MAX_SAFE_INTEGER, limit });
      const nextSeq = rows.length === limit ? rows.at(-1)![0] : end;
      return { ids: rows.map(([, id]) => id), nextSeq };
    },
  };
}

/** `edges`: where to count rows of `table`; `from`: where to read their jobs. */
function createLooks(db: DatabaseSync, table: "job" | "dead_letter", edges: string, from: string) {
  const edge = `LIMIT 1 OFFSET ${rowsPerLook - 1}`;
  const seq = `${table}.seq`;
  const ofClient = `WHERE ${table}.client = :client AND ${seq}`;
  return {
    lowest: prepareNamed<[number]>(db, `SELECT seq FROM ${edges} ${ofClient} < :before ORDER BY seq DESC ${edge}`),
    highest: prepareNamed<[number]>(db, `SELECT seq FROM ${edges} ${ofClient} > :after ORDER BY seq ${edge}`),
    list: db.prepare(
      `SELECT ${describing} FROM ${from} ${ofClient} < :before AND ${seq} >= :end AND ${matching}
       ORDER BY ${seq} DESC LIMIT :limit`,
    ),
    find: prepareNamed<[seq: number, id: string]>(
      db,
      `SELECT ${seq}, id FROM ${from} ${ofClient} > :after AND ${seq} <= :end AND ${matching}
       ORDER BY ${seq} LIMIT :limit`,
    ),
  };
}

/** Undefined when the filter names a channel that never was: nothing matches. */
function parameters(channels: Channels, client: string, filter: JobFilter, wanted: number) {
  const { task, pool, labels, submittedFrom, submittedBefore, deadReason, failureReason } = filter;
  const channel = filter.channel === null ? null : channels.find(client, filter.channel);
  if (channel === undefined) return undefined;
  return {
    client,
    states: wanted,
    task,
    pool,
    channel: channel && channel.id,
    submittedFrom,
    submittedBefore,
    deadReason: deadReason && deadReasons.indexOf(deadReason),
    failureReason,
    labels: Object.keys(labels).length === 0 ? null : JSON.stringify(labels),
  };
}
