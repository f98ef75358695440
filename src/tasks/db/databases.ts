/**
 * The resource `databases`: the databases of the configuration, with connections that all tasks of a worker thread
 * share. The whole process never has more than `connections` to each database.
 */
import { systemClock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import { defineResource, type ResourceContext } from "../../pool/resource.ts";
import { TaskError } from "../../pool/task.ts";
import { type Connections, createConnections } from "../connections/connections.ts";
import { openPostgres } from "./postgres/connection.ts";
import { type Database, type DatabasesSettings, readDatabases } from "./settings.ts";
import { openSqlite } from "./sqlite/connection.ts";
import type { Answer, DatabaseConnection, Work } from "./work.ts";

export type Databases = {
  readonly settings: DatabasesSettings;
  /** Does the work on a database of the settings. */
  run(database: string, work: Work, signal: AbortSignal): Promise<Answer>;
  /**
   * Checks the databases that are not known to be healthy, and reports the unavailable ones. The connections that it
   * opens stay open for jobs.
   */
  probe(signal: AbortSignal, isWell: (database: string) => boolean): Promise<void>;
  close(): Promise<void>;
};

/**
 * How long a probe waits for a connection: shorter than the timeout of a probe, so that the databases are reported and
 * not the timeout.
 */
const probeMs = 8_000;

export const databases = defineResource({
  name: "databases",
  settings: readDatabases,
  permits: (settings) =>
    Object.fromEntries(Object.entries(settings).map(([name, { connections }]) => [name, connections])),
  setup: createDatabases,
  probe: (opened: Databases, signal, isWell) => opened.probe(signal, isWell),
  teardown: (opened: Databases) => opened.close(),
});

function createDatabases({ settings, permits, report }: ResourceContext<DatabasesSettings>): Databases {
  const all = new Map<string, Connections<DatabaseConnection>>();

  function connectionsOf(name: string): Connections<DatabaseConnection> {
    let connections = all.get(name);
    if (!connections) {
      const { idleMs } = settings[name] as Database;
      connections = createConnections({ permits: permits(name), idleMs });
      all.set(name, connections);
    }
    return connections;
  }

  /** Calls `work` with exclusive use of a connection. Waits for a permit if none is idle. */
  async function use<T>(
    name: string,
    signal: AbortSignal,
    work: (connection: DatabaseConnection) => Promise<T>,
  ): Promise<T> {
    const connections = connectionsOf(name);
    const next = await connections.next(signal);
    const connection =
      "connection" in next ? next.connection : await connections.open(next.permit, () => openReported(name, signal));
    try {
      return await work(connection);
    } finally {
      await connections.release(connection);
    }
  }

  async function openReported(name: string, signal: AbortSignal): Promise<DatabaseConnection> {
    try {
      const connection = await open(settings[name] as Database, signal);
      report(name, undefined);
      return connection;
    } catch (error) {
      if (signal.aborted) throw error;
      report(name, messageOf(named(name, error)));
      throw error;
    }
  }

  return {
    settings,
    run: (name, work, signal) =>
      use(name, signal, (connection) => connection.run(work, signal)).catch((error: unknown) => {
        throw named(name, error);
      }),
    async probe(signal, isWell) {
      const patience = new AbortController();
      const cancelTimer = systemClock.after(probeMs, () => patience.abort(new Error("the probe gave up waiting")));
      const either = AbortSignal.any([signal, patience.signal]);
      const unknown = Object.keys(settings).filter((name) => !isWell(name)); // the connections of the others may be busy with jobs
      const probes = unknown.map((name) => use(name, either, async () => report(name, undefined)));
      // failures are reported where the connection is opened; if all connections of a database are in use, there is
      // nothing to report
      await Promise.allSettled(probes);
      cancelTimer();
    },
    async close() {
      await Promise.all([...all.values()].map((connections) => connections.close()));
    },
  };
}

/** Adds the name of the database to a failure, for readers of a dead letter. */
function named(name: string, error: unknown): unknown {
  if (!(error instanceof TaskError) || !/^(?:db_|too_many|output_|no_password)/.test(error.reason)) return error;
  const { reason, message, retryable, details } = error;
  const text = `database "${name}"${message.startsWith("is ") ? "" : ":"} ${message}`;
  return new TaskError(reason, text, { retryable, details: { ...details, database: name } });
}

function open({ location, connectMs }: Database, signal: AbortSignal): Promise<DatabaseConnection> {
  const bounds = { connectMs, signal };
  return location.dialect === "sqlite" ? openSqlite(location.path, bounds) : openPostgres(location, bounds);
}
