/**
 * The resource `databases`: the databases of the configuration, with connections that all tasks of a worker thread share. In
 * the whole process there are never more than `connections` of each database.
 */
import { defineResource, type ResourceContext } from "../../pool/resource.ts";
import { TaskError } from "../../pool/task.ts";
import { type Connections, createConnections } from "./connections.ts";
import { openPostgres } from "./postgres/connection.ts";
import { type Database, type DatabasesSettings, readDatabases } from "./settings.ts";
import { openSqlite } from "./sqlite/connection.ts";
import type { Answer, Connection, Work } from "./work.ts";

export type Databases = {
  readonly settings: DatabasesSettings;
  /** Does the work on a database of the settings. */
  run(database: string, work: Work, signal: AbortSignal): Promise<Answer>;
  close(): Promise<void>;
};

export const databases = defineResource({
  name: "databases",
  settings: readDatabases,
  permits: (settings) =>
    Object.fromEntries(Object.entries(settings).map(([name, { connections }]) => [name, connections])),
  setup: createDatabases,
  teardown: (opened: Databases) => opened.close(),
});

function createDatabases({ settings, permits, report }: ResourceContext<DatabasesSettings>): Databases {
  const all = new Map<string, Connections>();

  function connectionsOf(name: string): Connections {
    let connections = all.get(name);
    if (!connections) {
      const database = settings[name] as Database;
      connections = createConnections({
        open: (signal) => reported(name, () => open(database, signal)),
        permits: permits(name),
        idleMs: database.idleMs,
      });
      all.set(name, connections);
    }
    return connections;
  }

  async function reported(name: string, openIt: () => Promise<Connection>): Promise<Connection> {
    try {
      const connection = await openIt();
      report(name, undefined);
      return connection;
    } catch (error) {
      if (error instanceof TaskError && error.reason !== "cancelled") report(name, error.message);
      throw error;
    }
  }

  return {
    settings,
    run: (name, work, signal) => connectionsOf(name).use(signal, (connection) => connection.run(work, signal)),
    async close() {
      await Promise.all([...all.values()].map((connections) => connections.close()));
    },
  };
}

function open({ place, connectMs }: Database, signal: AbortSignal): Promise<Connection> {
  const bounds = { connectMs, signal };
  return place.dialect === "sqlite" ? openSqlite(place.path, bounds) : openPostgres(place, bounds);
}
