import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { publint } from "publint";
import { temporaryFolder } from "./temporary-folder.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

test("the published package has what it promises, serves, offers task files its client, and brings its types", async (t) => {
  const folder = temporaryFolder(t);
  const source = join(folder, "source");
  run(root, process.execPath, [".ci/build.ts", "--out", join(source, "dist")]);
  for (const path of ["package.json", "README.md", "LICENSE", "proto", "src/launch.mjs", "test"]) {
    cpSync(join(root, path), join(source, path), { recursive: true });
  }

  const { messages } = await publint({ pkgDir: source, pack: false, level: "suggestion", strict: true });
  assert.deepEqual(messages, []);

  // As an installation would lay it out: the package in node_modules, its dependencies within reach.
  const installed = join(folder, "consumer/node_modules/millpond");
  mkdirSync(dirname(installed), { recursive: true });
  run(source, "npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder]);
  run(folder, "tar", ["-xzf", "millpond-0.1.0.tgz"]);
  cpSync(join(folder, "package"), installed, { recursive: true });
  symlinkSync(join(root, "node_modules"), join(installed, "node_modules"));
  for (const path of ["README.md", "LICENSE", "proto/millpond/v1/worker_pool.proto", "dist/src/store/sqlite/001.sql"]) {
    assert.ok(existsSync(join(installed, path)), path);
  }
  for (const path of ["test", "src/main.ts"]) assert.ok(!existsSync(join(installed, path)), path);

  assert.match(run(folder, process.execPath, [join(installed, "src/launch.mjs"), "--help"]), /Usage: millpond/);

  const tasks = join(folder, "tasks");
  mkdirSync(tasks);
  writeFileSync(
    join(tasks, "follow-up.ts"),
    `import { defineTask } from "millpond";
     import { connect } from "millpond/client";
     export default defineTask({ name: "follow-up", pool: "io", run: () => typeof connect, check: () => [] });`,
  );
  const places = ["--grpc-port", "0", "--http-port", "0", "--store", "memory", "--tasks-dir", tasks];
  const server = spawn(process.execPath, [join(installed, "dist/src/main.js"), "serve", "--json", ...places]);
  t.after(() => server.kill("SIGKILL"));
  server.stderr.pipe(process.stderr);
  const [serving] = (await once(createInterface({ input: server.stdout }), "line")) as [string];
  assert.ok(JSON.parse(serving).tasks.includes("follow-up"), serving);

  const consumer = join(folder, "consumer");
  writeFileSync(join(consumer, "package.json"), '{"type":"module"}');
  writeFileSync(
    join(consumer, "use.ts"),
    `import { defineTask, permanent } from "millpond";
     import { connect, type MillpondClient } from "millpond/client";
     export const greet = defineTask({ name: "greet", pool: "cpu", run: (_, ctx) => \`hello \${ctx.attempt}\` });
     export const client: MillpondClient = connect({ address: "127.0.0.1:7717" });
     type IsAny<T> = 0 extends 1 & T ? true : false;
     export const areAny: [IsAny<typeof permanent>, IsAny<typeof connect>, IsAny<typeof client>] = [false, false, false];
    `,
  );
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  run(consumer, process.execPath, [
    tsc,
    "--module",
    "nodenext",
    "--target",
    "esnext",
    "--strict",
    "--noEmit",
    "use.ts",
  ]);
});

function run(cwd: string, file: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(file, args, { cwd, encoding: "utf8" });
  assert.equal(status, 0, `${file} ${args.join(" ")}\n${stdout}${stderr}${error?.message ?? ""}`);
  return stdout;
}
