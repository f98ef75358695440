import type { DatabaseSync } from "node:sqlite";
import { type BytesReader, type BytesWriter, createBytesReader, createBytesWriter, joinBytes } from "./bytes.ts";
import { createAlterations } from "./alter.ts";
import { createEndQueued } from "./end-queued.ts";
import { createGet } from "./jobs.ts";
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
  /** Writes down the latest time, also that of calls that wrote nothing. Comes last. */
  end(): void;
};

type Verbs = {
  [K in Call]: (request: Calls[K]["request"], input: BytesReader, output: BytesWriter) => Calls[K]["answer"];
};

/** `onDamage` is told, once for each, what on the disk is not what was written. */
export function createExecutor(db: DatabaseSync, onDamage: (sentence: string) => void): Executor {
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
    cancel: alterations.cancel,
    redrive: alterations.redrive,
    remove: alterations.remove,
    get: createGet(db, tables),
    list: pages.list,
    find: pages.find,
    ahead: ready.ahead,
    results: (request, _, output) => results.results(request, output),
    ack: results.ack,
    prune: createPrune(db, tables, keys, parting),
    counts: tables.counters.counts,
    latest: tables.counters.latest,
    oldest: ready.oldest,
  };
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");

  function answer({ commands, bytes }: Batch): Answers {
    const input = createBytesReader(bytes);
    const output = createBytesWriter();
    const run = <K extends Call>({ call, request }: Command & { call: K }) => verbs[call](request, input, output);
    return { answers: commands.map(run), bytes: joinBytes([output]) };
  }

  return {
    execute: (batches) => {
      const writes = batches.some(({ commands }) => commands.some(({ call }) => writing.has(call)));
      if (!writes) return batches.map(answer);
      begin.run();
      try {
        const answers = batches.map(answer);
        tables.channels.flush();
        tables.counters.flush();
        commit.run();
        return answers;
      } catch (error) {
        if (db.isTransaction) db.exec("ROLLBACK");
        throw error;
      }
    },
    end: () => {
      const { counters } = tables;
      counters.stored(counters.latest());
      counters.flush(); // one statement, and so a transaction
    },
  };
}
