/**
 * The resource `databases`: the databases of the configuration, with connections that all tasks of a worker thread share. In
 * the whole process there are never more than `connections` of each database.
 */
import { messageOf } from "../../errors.ts";
import { defineResource, type ResourceContext } from "../../pool/resource.ts";
import { type Connections, createConnections } from "./connections.ts";
import { openPostgres } from "./postgres/connection.ts";
import { type Database, type DatabasesSettings, readDatabases } from "./settings.ts";
import { openSqlite } from "./sqlite/connection.ts";
import type { Answer, Connection, Work } from "./work.ts";

export type Databases = {
  readonly settings: DatabasesSettings;
  /** Does the work on a database of the settings. */
  run(database: string, work: Work, signal: AbortSignal): Promise<Answer>;
  /** Reports which databases are away. The connections that it opens stay open for jobs. */
  probe(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
};

export const databases = defineResource({
  name: "databases",
  settings: readDatabases,
  permits: (settings) =>
    Object.fromEntries(Object.entries(settings).map(([name, { connections }]) => [name, connections])),
  setup: createDatabases,
  probe: (opened: Databases, signal) => opened.probe(signal),
  teardown: (opened: Databases) => opened.close(),
});

function createDatabases({ settings, permits, report }: ResourceContext<DatabasesSettings>): Databases {
  const all = new Map<string, Connections>();

  function connectionsOf(name: string): Connections {
    let connections = all.get(name);
    if (!connections) {
      const database = settings[name] as Database;
      connections = createConnections({
        open: (signal) => openReported(name, signal),
        permits: permits(name),
        idleMs: database.idleMs,
      });
      all.set(name, connections);
    }
    return connections;
  }

  async function openReported(name: string, signal: AbortSignal): Promise<Connection> {
    try {
      const connection = await open(settings[name] as Database, signal);
      report(name, undefined);
      return connection;
    } catch (error) {
      if (!signal.aborted) report(name, messageOf(error));
      throw error;
    }
  }

  return {
    settings,
    run: (name, work, signal) => connectionsOf(name).use(signal, (connection) => connection.run(work, signal)),
    async probe(signal) {
      const open = async () => {};
      const opening = Object.keys(settings).map((name) => connectionsOf(name).use(signal, open));
      await Promise.allSettled(opening); // each is reported where it is opened
    },
    async close() {
      await Promise.all([...all.values()].map((connections) => connections.close()));
    },
  };
}

function open({ place, connectMs }: Database, signal: AbortSignal): Promise<Connection> {
  const bounds = { connectMs, signal };
  return place.dialect === "sqlite" ? openSqlite(place.path, bounds) : openPostgres(place, bounds);
}
