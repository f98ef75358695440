import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { keepCompiledCode } from "../src/code-cache.ts";
import { startServer } from "./nemesis/stage/server.ts";

async function makeFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "millpond-code-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** The cache's folder as a process sees it that starts with these variables. */
function folderIn(env: NodeJS.ProcessEnv): string {
  const module = new URL("../src/code-cache.ts", import.meta.url).href;
  const script = `
    const { keepCompiledCode } = await import(${JSON.stringify(module)});
    keepCompiledCode(process.env);
    process.stdout.write(process.env.NODE_COMPILE_CACHE ?? "none");`;
  const { NODE_COMPILE_CACHE: _, ...others } = process.env;
  const args = ["--input-type=module", "--eval", script];
  return spawnSync(process.execPath, args, { env: { ...others, ...env }, encoding: "utf8" }).stdout;
}

test("compiled code is kept beside the code, and threads are told where", () => {
  assert.match(folderIn({}), /node_modules\/\.cache\/millpond$/);
});

test("who names a folder, or wants none, is obeyed", async (t) => {
  const folder = await makeFolder(t);
  assert.equal(folderIn({ NODE_COMPILE_CACHE: folder }), folder);
  assert.equal(folderIn({ NODE_DISABLE_COMPILE_CACHE: "1" }), "none");
  const given = { NODE_COMPILE_CACHE: folder };
  keepCompiledCode(given);
  assert.deepEqual(given, { NODE_COMPILE_CACHE: folder });
});

test("a server that is killed has left its code to the next one", async (t) => {
  const folder = await makeFolder(t);
  const data = await makeFolder(t);
  const flags = [
    "--data-dir",
    data,
    "--pools",
    '{"cpu": {"workers": 1}, "io": {"workers": 1}}',
    "--log-level",
    "silent",
  ];
  const server = await startServer({
    root: join(import.meta.dirname, ".."),
    flags,
    env: { NODE_COMPILE_CACHE: folder },
  });
  server.kill("SIGKILL");
  await server.ended;
  const kept = await readdir(folder, { recursive: true });
  assert.ok(kept.length > 200, `${kept.length} files are kept`);
});
