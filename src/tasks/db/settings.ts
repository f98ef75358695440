/** The settings of the resource `databases`: `resources.databases` of the configuration. */
import { messageOf } from "../../errors.ts";
import { type Fields, readSection, type Section } from "../settings/fields.ts";
import { readSecret, type Secret } from "../settings/secret.ts";
import { declarations, type Parameter, readParameter } from "./parameter.ts";
import { type Dialect, parseSql } from "./sql.ts";

export type DatabasesSettings = { readonly [name: string]: Database };

export type Database = {
  readonly location: DatabaseLocation;
  /** Bound on the open connections of the process, 1 to 1000; 10 by default. */
  readonly connections: number;
  /** Bound on connecting, with TLS and login; 5 s by default. */
  readonly connectMs: number;
  /** How long a connection stays open without a job; a minute by default. */
  readonly idleMs: number;
  readonly statements: { readonly [name: string]: Statement };
};

export type DatabaseLocation = SqliteLocation | PostgresLocation;

/** `path`: relative to the server's working folder, unless it is absolute. */
export type SqliteLocation = { readonly dialect: "sqlite"; readonly path: string };

export type PostgresLocation = {
  readonly dialect: "postgres";
  /** A host name, an address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: Secret | undefined;
  /** `on`: encrypted, with the server's certificate verified. The default except for loopback and sockets. */
  readonly tls: "on" | "off";
  /** Certificates of the authorities to trust instead of those of Node.js; PEM. */
  readonly ca: string | undefined;
};

/** A named statement; jobs can run only these. */
export type Statement = {
  readonly sql: string;
  /** The name of each numbered parameter in `sql`, from 1. */
  readonly names: readonly string[];
  readonly parameters: { readonly [name: string]: Parameter };
  /** Bound on the returned rows, 1 to 100000; 1000 by default. With more the job fails. */
  readonly maxRows: number;
  /** Bound on one execution, 1 ms to an hour; 30 s by default. */
  readonly timeoutMs: number;
  /** What happens to a job if it is unknown whether its transaction was committed; `retry` by default. */
  readonly unknownOutcome: "retry" | "dead";
};

/**
 * Parameters that every statement may use, with values set by the server: the job's id, and the index of the set in
 * `db.batch`.
 */
export const givenParameters = ["job_id", "set_index"] as const;

const hourMs = 3_600_000;
const loopback = /^(?:localhost|127\.\d+\.\d+\.\d+|::1|\/.*)$/;
const printable = /^[^\p{Cc}]{1,256}$/u;
const name = "1 to 256 characters without control characters";

/** Reads the settings. Throws one Error that lists every mistake. Connects to no database. */
export function readDatabases(given: Section): DatabasesSettings {
  return readSection(given, (databases) => databases.each(readDatabase));
}

function readDatabase(fields: Fields): Database {
  fields.refuseOthers("sqlite", "postgres", "connections", "connectMs", "idleMs", "statements");
  const isSqlite = fields.given["sqlite"] !== undefined;
  const isPostgres = fields.given["postgres"] !== undefined;
  if (isSqlite === isPostgres) {
    fields.add("sqlite", "or postgres must be set, but not both");
  }
  const location = isSqlite ? readSqlite(fields) : readPostgres(fields.section("postgres"), isPostgres);
  return {
    location,
    connections: fields.whole("connections", 1, 1000, 10),
    connectMs: fields.whole("connectMs", 10, hourMs, 5_000),
    idleMs: fields.whole("idleMs", 0, hourMs, 60_000),
    statements: fields.section("statements").each((statement) => readStatement(statement, location.dialect)),
  };
}

function readSqlite(fields: Fields): SqliteLocation {
  const path = fields.text("sqlite", /^[^\0]+$/, "the path of a file") ?? "";
  if (path === ":memory:") fields.add("sqlite", "is :memory:, which connections cannot share: use a file");
  return { dialect: "sqlite", path };
}

function readPostgres(fields: Fields, isGiven: boolean): PostgresLocation {
  fields.refuseOthers("host", "port", "database", "user", "passwordEnv", "passwordFile", "tls", "caFile");
  for (const key of ["host", "database", "user"].filter((each) => fields.given[each] === undefined)) {
    if (isGiven) fields.add(key, "is missing");
  }
  const host =
    fields.text("host", /^(?:[A-Za-z0-9.:_-]{1,253}|\/[^\0]+)$/, "a host name, an address or a folder") ?? "";
  const password = readSecret(fields);
  const tls = fields.oneOf("tls", ["on", "off"], loopback.test(host) ? "off" : "on");
  if (tls === "off" && password && !loopback.test(host)) {
    fields.add("tls", 'is "off", so rows would be sent unencrypted from another machine: leave it out');
  }
  return {
    dialect: "postgres",
    ...{ host, password, tls },
    port: fields.whole("port", 1, 65_535, 5432),
    database: fields.text("database", printable, name) ?? "",
    user: fields.text("user", printable, name) ?? "",
    ca: fields.file("caFile"),
  };
}

function readStatement(fields: Fields, dialect: Dialect): Statement {
  fields.refuseOthers("sql", "parameters", "maxRows", "timeoutMs", "unknownOutcome");
  const sql = fields.text("sql", /\S/, "a statement") ?? "";
  if (fields.given["sql"] === undefined) fields.add("sql", "is missing");
  const parameters = readParameters(fields.section("parameters"));
  let parsed = { text: "", names: [] as readonly string[] };
  try {
    if (sql !== "") parsed = parseSql(sql, dialect);
    comparedNames(fields, parsed.names, Object.keys(parameters));
  } catch (error) {
    fields.add("sql", `cannot be used: ${messageOf(error)}`);
  }
  return {
    sql: parsed.text,
    names: parsed.names,
    parameters,
    maxRows: fields.whole("maxRows", 1, 100_000, 1000),
    timeoutMs: fields.whole("timeoutMs", 1, hourMs, 30_000),
    unknownOutcome: fields.oneOf("unknownOutcome", ["retry", "dead"], "retry"),
  };
}

function readParameters(fields: Fields): Statement["parameters"] {
  const declared = Object.entries(fields.given).flatMap(([key, type]) => {
    const parameter = readParameter(type);
    if (!/^[a-z_][a-z0-9_]{0,62}$/.test(key))
      fields.add(key, "must have a name of [a-z0-9_] that does not start with a digit");
    else if (isGiven(key)) fields.add(key, "is set by the server: leave it out");
    else if (!parameter) fields.refuse(key, declarations);
    return parameter ? [[key, parameter] as const] : [];
  });
  return Object.fromEntries(declared);
}

function comparedNames(fields: Fields, used: readonly string[], declared: readonly string[]): void {
  for (const each of used.filter((one) => !declared.includes(one) && !isGiven(one))) {
    fields.add("sql", `uses $${each}, whose type is missing in \`parameters\``);
  }
  if (fields.given["sql"] === undefined) return;
  for (const each of declared.filter((one) => !used.includes(one)))
    fields.add(`parameters.${each}`, "is not in the SQL");
}

function isGiven(parameter: string): boolean {
  return (givenParameters as readonly string[]).includes(parameter);
}
