import type { DatabaseSync } from "node:sqlite";
import { createDetachResult } from "../channels/detach-result.ts";
import { createPrune } from "../channels/prune.ts";
import { createResults } from "../channels/results.ts";
import { createDescribe } from "../jobs/describe.ts";
import { createJobCommands } from "../jobs/job-commands.ts";
import { createLease } from "../jobs/lease.ts";
import { createPages } from "../jobs/pages.ts";
import { createPoolOverrides } from "../jobs/pool-overrides.ts";
import { createQueueStats } from "../jobs/queue-stats.ts";
import { createSettle } from "../jobs/settle.ts";
import { createSubmit } from "../jobs/submit.ts";
import { createTake, joinBytes } from "./columns.ts";
import { createSql } from "./connection.ts";
import { createSize } from "./free-pages.ts";
import type { Answers, Batch, Call, Verbs } from "./protocol.ts";
import { createTables } from "./tables.ts";

const writing: ReadonlySet<Call> = new Set([
  ...(["submit", "lease", "settle", "cancel", "redrive", "remove", "ack", "prune", "override"] as const),
]);

/** Runs commands on a migrated database. */
export type Executor = {
  /**
   * Runs batches in order, in one transaction if any of them writes, and returns once it is durable. Throws if anything
   * fails; the transaction is rolled back, and the executor must not be used again.
   */
  execute(batches: readonly Batch[]): Answers[];
  /**
   * Writes the latest time, also that of calls that wrote nothing, in a transaction of its own. Call it first, because
   * its sync makes durable what a killed process has written without a sync; and last.
   */
  record(): void;
};

export type ExecutorEvents = {
  /** Called after each durable transaction, with their total number. */
  readonly onCommit: (commits: number) => void;
  /** Called once with each damage of the files. */
  readonly onDamage: (sentence: string) => void;
};

export function createExecutor(db: DatabaseSync, { onCommit, onDamage }: ExecutorEvents): Executor {
  const sql = createSql(db);
  const tables = createTables(sql, onDamage);
  const detachResult = createDetachResult(sql, tables);
  const describe = createDescribe(sql, tables);
  const verbs: Verbs = {
    ...createSubmit(sql, tables),
    ...createLease(sql, tables),
    ...createSettle(tables),
    ...createJobCommands(sql, tables, detachResult),
    ...describe,
    ...createPages(sql, tables, describe.describeShown),
    ...createQueueStats(sql, tables),
    ...createResults(sql, tables),
    ...createPrune(sql, tables, detachResult),
    ...createPoolOverrides(sql, tables.damage),
    counts: tables.counters.counts,
    latest: tables.counters.latest,
    size: createSize(db),
  };
  const begin = sql`BEGIN IMMEDIATE`;
  const commit = sql`COMMIT`;
  const changes = sql<[number]>`SELECT total_changes()`;

  function answer({ commands, bytes }: Batch): Answers {
    const take = createTake(bytes);
    const outputs: Answers["bytes"][number][] = [];
    const answers = commands.map(({ call, request }) => {
      const output: Uint8Array[] = [];
      const given: unknown = verbs[call](request as never, take, output);
      outputs.push(output.length === 0 ? null : joinBytes(output));
      return given;
    });
    return { answers, bytes: outputs };
  }

  /** A transaction that changes nothing is not counted, and costs no sync; `isForced` counts it and writes the time. */
  function transact<T>(work: () => T, isForced = false): T {
    begin.run();
    try {
      const before = changes.get()![0];
      const answers = work();
      for (const one of [tables.readyQueue, tables.channels, tables.leases]) one.flush();
      const commits = tables.counters.commit(isForced || changes.get()![0] !== before);
      commit.run();
      if (commits !== undefined) onCommit(commits);
      return answers;
    } catch (error) {
      if (db.isTransaction) db.exec("ROLLBACK");
      throw error;
    }
  }

  return {
    execute: (batches) => {
      const writes = batches.some(({ commands }) => commands.some(({ call }) => writing.has(call)));
      return writes ? transact(() => batches.map(answer)) : batches.map(answer);
    },
    record: () => transact(() => undefined, true),
  };
}
