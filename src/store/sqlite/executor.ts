import type { DatabaseSync } from "node:sqlite";
import { createAlterations } from "./alter.ts";
import { type BytesReader, type BytesWriter, createBytesReader, createBytesWriter, joinBytes } from "./bytes.ts";
import { prepareQuery } from "./connection.ts";
import { createEndQueued } from "./end-queued.ts";
import { createSize } from "./free-pages.ts";
import { createGet, createStates } from "./jobs.ts";
import { createKeys } from "./keys.ts";
import { createLeases } from "./lease.ts";
import { createPages } from "./pages.ts";
import { createParting } from "./parting.ts";
import type { Answers, Batch, Call, Calls, Command } from "./protocol.ts";
import { createPrune } from "./prune.ts";
import { createReady } from "./ready.ts";
import { createResults } from "./results.ts";
import { createSettle } from "./settle.ts";
import { createSubmit } from "./submit.ts";
import { createTables } from "./tables.ts";

const writing: ReadonlySet<Call> = new Set([
  "submit",
  "lease",
  "settle",
  "expired", // what is damaged is mended
  "cancel",
  "redrive",
  "remove",
  "ack",
  "prune",
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

export type Heard = {
  /** Told how many transactions there were after each that is durable. */
  readonly onCommit: (commits: number) => void;
  /** Told, once for each, what on the disk is not what was written. */
  readonly onDamage: (sentence: string) => void;
};

export function createExecutor(db: DatabaseSync, { onCommit, onDamage }: Heard): Executor {
  const tables = createTables(db, onDamage);
  const endQueued = createEndQueued(db, tables);
  const keys = createKeys(db);
  const parting = createParting(db, tables);
  const ready = createReady(db);
  const alterations = createAlterations(db, tables, endQueued, parting);
  const leases = createLeases(db, tables, ready);
  const pages = createPages(db, tables);
  const results = createResults(db, tables);
  const verbs: Verbs = {
    submit: createSubmit(db, tables, keys),
    lease: (request, _, output) => leases.lease(request, output),
    extend: leases.extend,
    settle: createSettle(db, tables),
    expired: (request, _, output) => leases.expired(request, output),
    recover: leases.recover,
    cancel: alterations.cancel,
    redrive: alterations.redrive,
    remove: alterations.remove,
    get: createGet(db, tables),
    states: createStates(db),
    list: pages.list,
    find: pages.find,
    ahead: ready.ahead,
    results: (request, _, output) => results.results(request, output),
    ack: results.ack,
    prune: createPrune(db, tables, keys, parting),
    counts: tables.counters.counts,
    latest: tables.counters.latest,
    oldest: ready.oldest,
    size: createSize(db),
  };
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const changes = prepareQuery<[number]>(db, "SELECT total_changes()");
  const count = prepareQuery<[commits: number]>(db, "UPDATE total SET commits = commits + 1 RETURNING commits");

  function answer({ commands, bytes }: Batch): Answers {
    const input = createBytesReader(bytes);
    const output = createBytesWriter();
    const run = <K extends Call>({ call, request }: Command & { call: K }) => verbs[call](request, input, output);
    return { answers: commands.map(run), bytes: joinBytes([output]) };
  }

  /** A transaction that changed nothing is not counted, and costs no sync. */
  function transact<T>(work: () => T): T {
    begin.run();
    try {
      const before = changes.get()![0];
      const answers = work();
      tables.channels.flush();
      tables.counters.flush();
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
      const writes = batches.some(({ commands }) => commands.some(({ call }) => writing.has(call)));
      return writes ? transact(() => batches.map(answer)) : batches.map(answer);
    },
    record: () => transact(tables.counters.record),
  };
}
