/** A folder in which servers run one after the other, as processes of their own: what one leaves the next one finds. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { startMillpond, type TestServer } from "../cli/server.ts";
import { clientOf, type PoolClient, type Way, ways } from "../rpc/fixtures.ts";

export type Place = {
  readonly folder: string;
  /** Flags of a server in this folder, for those who start one by themselves. */
  readonly flags: readonly string[];
  start(flags?: readonly string[], env?: { readonly [name: string]: string }): Promise<TestServer>;
};

/** Few workers, and none before there are jobs: threads are most of what a server's start costs. */
const upTo = (max: number) => ({ min: 0, max });
const pools = JSON.stringify({
  cpu: { workers: upTo(1) },
  io: { workers: upTo(1) },
  held: { work: "io", concurrency: 1, workers: upTo(2) },
});

/** Besides the built-in tasks there are `spin`, and `gate` and `kill` in a pool of its own with two workers. All ends with the test. */
export async function makePlace(t: Pick<TestContext, "after">): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), "millpond-server-"));
  const servers: TestServer[] = [];
  t.after(async () => {
    await Promise.all(servers.map((server) => server.dispose()));
    await rm(folder, { recursive: true, force: true });
  });
  const tasks = join(folder, "tasks");
  await mkdir(tasks);
  for (const [name, file] of Object.entries({
    gate: "../rpc/tasks/gate.ts",
    spin: "./tasks/spin.ts",
    kill: "./tasks/kill.ts",
  })) {
    const url = JSON.stringify(new URL(file, import.meta.url).href);
    await writeFile(join(tasks, `${name}.mjs`), `export { default } from ${url};\n`);
  }
  const paths = ["--data-dir", join(folder, "data"), "--tasks-dir", tasks];
  const flags = [...paths, "--pools", pools, "--log-level", "silent"];
  return {
    folder,
    flags,
    async start(more = [], env = {}) {
      const server = await startMillpond([...flags, ...more], { env });
      servers.push(server);
      return server;
    },
  };
}

/** A client of such a server; without a name it is `ada`. */
export function clientAt({ serving }: TestServer, way: Way = ways.grpc, name = "ada"): PoolClient {
  return clientOf({ grpcAddress: serving.grpc, httpAddress: serving.http }, way, name);
}
