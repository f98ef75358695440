import type { DatabaseSync } from "node:sqlite";
import { createDetachResult } from "../channels/detach-result.ts";
import { createPrune } from "../channels/prune.ts";
import { createResults } from "../channels/results.ts";
import { createDescribe } from "../jobs/describe.ts";
import { createJobCommands } from "../jobs/job-commands.ts";
import { createLease } from "../jobs/lease.ts";
import { createPages } from "../jobs/pages.ts";
import { createQueueStats } from "../jobs/queue-stats.ts";
import { createSettle } from "../jobs/settle.ts";
import { createSubmit } from "../jobs/submit.ts";
import { type BytesReader, type BytesWriter, createBytesReader, createBytesWriter, joinBytes } from "./bytes.ts";
import { prepareQuery } from "./connection.ts";
import { createSize } from "./free-pages.ts";
import type { Answers, Batch, Call, Calls, Command } from "./protocol.ts";
import { createTables } from "./tables.ts";

const writing: ReadonlySet<Call> = new Set([
  ...(["submit", "lease", "settle", "cancel", "redrive", "remove", "ack", "prune", "override"] as const),
]);

/** Runs commands against a migrated database. */
export type Executor = {
  /**
   * Runs batches in order, in one transaction when any of them writes, and returns when it is durable. Throws when
   * anything fails; the transaction is rolled back then, and the executor must not be used again.
   */
  execute(batches: readonly Batch[]): Answers[];
  /**
   * Writes down the latest time, also that of calls that wrote nothing, in a transaction of its own. Comes first, since its
   * sync makes durable what a killed process had only written and the next one answers from; and last.
   */
  record(): void;
};

type Verbs = {
  [K in Call]: (request: Calls[K]["request"], input: BytesReader, output: BytesWriter) => Calls[K]["answer"];
};

export type ExecutorEvents = {
  /** Called with the number of transactions there were after each that is durable. */
  readonly onCommit: (commits: number) => void;
  /** Called, once for each, with what on the disk is not what was written. */
  readonly onDamage: (sentence: string) => void;
};

export function createExecutor(db: DatabaseSync, { onCommit, onDamage }: ExecutorEvents): Executor {
  const tables = createTables(db, onDamage);
  const detachResult = createDetachResult(db, tables);
  const commands = createJobCommands(db, tables, detachResult);
  const leases = createLease(db, tables);
  const pages = createPages(db, tables);
  const results = createResults(db, tables);
  const queue = createQueueStats(db, tables);
  const describe = createDescribe(db, tables);
  const settle = createSettle(tables);
  const verbs: Verbs = {
    submit: createSubmit(db, tables),
    lease: (request, _, output) => leases.lease(request, output),
    extend: leases.extend,
    settle,
    expired: (request, _, output) => leases.expired(request, output),
    recover: leases.recover,
    cancel: commands.cancel,
    redrive: commands.redrive,
    remove: commands.remove,
    get: (request, _, output) => describe.get(request, output),
    states: describe.states,
    list: (request, _, output) => pages.list(request, output),
    find: pages.find,
    ahead: queue.ahead,
    results: (request, _, output) => results.results(request, output),
    ack: results.ack,
    prune: createPrune(db, tables, detachResult),
    counts: tables.counters.counts,
    latest: tables.counters.latest,
    eligible: queue.eligible,
    oldest: queue.oldest,
    override: tables.overrides.override,
    overrides: tables.overrides.all,
    size: createSize(db),
  };
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const changes = prepareQuery<[number]>(db, "SELECT total_changes()");
  const count = prepareQuery<[commits: number]>(db, "UPDATE total SET commits = commits + 1 RETURNING commits");

  function answer({ commands: asked, bytes }: Batch): Answers {
    const input = createBytesReader(bytes);
    const outputs: Answers["bytes"][number][] = [];
    const run = <K extends Call>({ call, request }: Command & { call: K }) => {
      const output = createBytesWriter();
      const given = verbs[call](request, input, output);
      outputs.push(output.parts.length === 0 ? null : joinBytes([output]));
      return given;
    };
    return { answers: asked.map(run), bytes: outputs };
  }

  /** A transaction that changed nothing is not counted, and costs no sync. */
  function transact<T>(work: () => T): T {
    begin.run();
    try {
      const before = changes.get()![0];
      const answers = work();
      for (const one of [tables.readyQueue, tables.channels, tables.leases, tables.counters]) one.flush();
      const commits = changes.get()![0] === before ? undefined : count.get()![0];
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
      const writes = batches.some(({ commands: asked }) => asked.some(({ call }) => writing.has(call)));
      return writes ? transact(() => batches.map(answer)) : batches.map(answer);
    },
    record: () => transact(tables.counters.writeTotal),
  };
}
