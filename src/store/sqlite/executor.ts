import type { DatabaseSync } from "node:sqlite";
import { type BytesReader, type BytesWriter, createBytesReader, createBytesWriter, joinBytes } from "./bytes.ts";
import { createChannels } from "./channels.ts";
import { createCounters } from "./counters.ts";
import { createJobs } from "./jobs.ts";
import { createLeases } from "./lease.ts";
import { createPayloads } from "./payloads.ts";
import type { Answers, Batch, Call, Calls, Command } from "./protocol.ts";
import { createPrune } from "./prune.ts";
import { createResults } from "./results.ts";
import { createSettle } from "./settle.ts";
import { createSubmit } from "./submit.ts";

const writing: ReadonlySet<Call> = new Set(["submit", "lease", "settle", "ack", "prune"]);

/** Runs commands against a migrated database. */
export type Executor = {
  /**
   * Runs batches in order, in one transaction when any of them writes, and returns when it is durable. Throws when
   * anything fails; the transaction is rolled back then, and the executor must not be used again.
   */
  execute(batches: readonly Batch[]): Answers[];
};

type Verbs = {
  [K in Call]: (request: Calls[K]["request"], input: BytesReader, output: BytesWriter) => Calls[K]["answer"];
};

export function createExecutor(db: DatabaseSync): Executor {
  const tables = { channels: createChannels(db), counters: createCounters(db), payloads: createPayloads(db) };
  const leases = createLeases(db, tables);
  const jobs = createJobs(db, tables);
  const results = createResults(db, tables);
  const verbs: Verbs = {
    submit: createSubmit(db, tables),
    lease: (request, _, output) => leases.lease(request, output),
    settle: createSettle(db, tables),
    expired: (request, _, output) => leases.expired(request, output),
    get: jobs.get,
    list: jobs.list,
    results: (request, _, output) => results.results(request, output),
    ack: results.ack,
    prune: createPrune(db, tables),
    counts: tables.counters.counts,
    oldestDue: leases.oldestDue,
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
  };
}
