/** Commands as a user of the package types them. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

type Place = { readonly cwd: string; readonly env?: { readonly [name: string]: string } };

/** The Node.js of these tests first, and nothing of the repository: what the package lacks must not be found there. */
const path = [dirname(process.execPath), ...(process.env["PATH"] ?? "").split(":")];
const env = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(MILLPOND_|NODE_TEST_CONTEXT$|npm_(?!config_))/.test(name)),
  ),
  PATH: path.filter((folder) => !folder.endsWith("node_modules/.bin")).join(":"),
};

/** What a command prints that must succeed; when it does not, all that it printed is in the error. */
export function run(file: string, args: readonly string[], place: Place): string {
  const { status, stdout, stderr } = runToEnd(file, args, place);
  assert.equal(status, 0, `${file} ${args.join(" ")}\n${stdout}${stderr}`);
  return stdout;
}

/** Runs a command that may fail. */
export function runToEnd(file: string, args: readonly string[], { cwd, env: more }: Place) {
  const { error, ...ended } = spawnSync(file, args, { cwd, env: { ...env, ...more }, encoding: "utf8" });
  if (error) throw error;
  return ended;
}

/** The program of this Node.js, which npm installs into a folder. */
export function installNode(version: string, folder: string): string {
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), '{"private":true,"allowScripts":{"node":true}}');
  run("npm", ["install", "--silent", `node@${version}`], { cwd: folder });
  return join(folder, "node_modules/node/bin/node");
}

export type Served = {
  readonly grpc: string;
  /** All that it printed so far. */
  printed(): string;
  /** Resolves once it has printed this. */
  prints(text: string): Promise<void>;
  dispose(): Promise<void>;
};

/** Starts an installed package's server on free ports; resolves once it serves, and rejects with its words when it ends before. */
export async function serve(
  installed: string,
  { cwd, node = process.execPath, args = [] }: Place & { readonly node?: string; readonly args?: readonly string[] },
): Promise<Served> {
  const places = { MILLPOND_GRPC_PORT: "0", MILLPOND_HTTP_PORT: "0" };
  // not through npx, which would keep signals to itself
  const launch = join(installed, "src/launch.mjs");
  const child = spawn(node, [launch, "serve", ...args], { cwd, env: { ...env, ...places } });
  const exited = once(child, "exit");
  let printed = "";
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (complaints += text));
  const serving = new Promise<true>((resolve) => {
    child.stdout.setEncoding("utf8").on("data", (text) => {
      printed += text;
      if (/^ {2}stop .*\n/m.test(printed)) resolve(true); // its last line
    });
  });
  if (!(await Promise.race([serving, exited.then(() => false)]))) throw new Error(`the server ended: ${complaints}`);
  return {
    grpc: /^ {2}gRPC +(\S+)$/m.exec(printed)?.[1] ?? "",
    printed: () => printed,
    prints: async (text) => {
      while (!printed.includes(text)) await once(child.stdout, "data");
    },
    dispose: async () => {
      child.kill("SIGTERM");
      const [code] = await exited;
      assert.equal(code, 0, complaints);
    },
  };
}
