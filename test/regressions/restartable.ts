/** A server in this process that is started again and again over one folder, as deploys do. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { parseConfig } from "../../src/config.ts";
import { type RunningServer, startServer } from "../../src/server.ts";
import { clientOf, makeFolder, type PoolClient, settings, ways } from "../rpc/fixtures.ts";

export type Restarted = RunningServer & { client(name?: string): PoolClient };

export type Restartable = {
  readonly folder: string;
  /** Starts the next server; the one before must have stopped. */
  start(): Promise<Restarted>;
};

/** Besides the tasks of `makeFolder` there are those beside this file. Everything ends with the test. */
export async function makeRestartable(
  t: Pick<TestContext, "after">,
  given?: { readonly [section: string]: unknown },
): Promise<Restartable> {
  const folder = await makeFolder();
  for (const name of ["block", "dies"]) {
    const url = JSON.stringify(new URL(`./tasks/${name}.ts`, import.meta.url).href);
    await writeFile(join(folder.path, "tasks", `${name}.mjs`), `export { default } from ${url};\n`);
  }
  const text = JSON.stringify(settings(folder.path, given));
  const config = parseConfig({ file: { name: "test.yaml", text }, env: {}, flags: {}, cores: 2 });
  const servers: RunningServer[] = [];
  t.after(async () => {
    for (const server of servers) await server.stop();
    await folder.remove();
  });
  return {
    folder: folder.path,
    async start() {
      const server = await startServer(config, {});
      servers.push(server);
      return { ...server, client: (name = "ada") => clientOf(server, ways.grpc, name) };
    },
  };
}
