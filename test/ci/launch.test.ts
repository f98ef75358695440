import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "./temporary-folder.ts";

const launch = fileURLToPath(new URL("../../src/launch.mjs", import.meta.url));
const says = (what: string) => `process.stdout.write("${what} " + process.argv.slice(2).join(" "));`;
const sources = { "src/main.ts": says("sources"), ".ci/set-up.mjs": says("set-up") };
const published = { "dist/src/main.js": says("published") };

test("a clone runs its sources, the published package what was built", (t) => {
  assert.equal(millpond(t, sources, process.versions.node).stdout, "sources stats --json");
  assert.equal(millpond(t, published, "24.15.0").stdout, "published stats --json");
});

test("in a clone, an older Node.js hands over to set-up, which starts the pinned one", (t) => {
  const { stdout } = millpond(t, sources, "24.14.9");
  assert.match(stdout, /^set-up .*src\/launch\.mjs stats --json$/);
});

test("a server has the flags that keep its memory small, in the process that was started", (t) => {
  const main = `process.stdout.write([process.pid, process.execArgv.join(" "), process.argv.slice(2)].join("|"));`;
  const { pid, stdout } = millpond(t, { "src/main.ts": main }, process.versions.node, ["serve", "--json"]);
  const [ran, options = "", given] = stdout.split("|");
  assert.deepEqual([Number(ran), given], [pid, "serve,--json"]);
  assert.match(options, /^--no-memory-pool-share-memory-on-teardown --max-semi-space-size=16 --import .*claim\.mjs$/);
});

test("the young generation of a server's threads grows to half of its main thread's", (t) => {
  const main = `
    import { getHeapSpaceStatistics } from "node:v8";
    import { isMainThread, Worker } from "node:worker_threads";
    const kept = [];
    let most = 0;
    for (let made = 0; made < 6e6; made += 1) {
      kept[made % 20_000] = { made, again: [made] };
      if (made % 20_000 !== 0) continue;
      most = Math.max(most, getHeapSpaceStatistics().find((each) => each.space_name === "new_space").space_size);
    }
    process.stdout.write((isMainThread ? "main " : "thread ") + most / 2 ** 20 + " ");
    if (isMainThread) new Worker(new URL(import.meta.url));`;
  const { stdout } = millpond(t, { "src/main.ts": main }, process.versions.node, ["serve"]);
  assert.equal(stdout, "main 32 thread 16 ");
});

test("a server keeps the size of the young generation that NODE_OPTIONS says", (t) => {
  const main = `process.stdout.write(process.execArgv.join(" "));`;
  for (const flag of ["--max-semi-space-size", "--max_semi_space_size"]) {
    const env = { NODE_OPTIONS: `${flag}=16` };
    const { stdout } = millpond(t, { "src/main.ts": main }, process.versions.node, ["serve"], env);
    assert.match(stdout, /^--no-memory-pool-share-memory-on-teardown --import /);
  }
});

const main = `process.stdout.write("runs " + process.execArgv.some((each) => each.startsWith("--no-memory")));`;

test("a server goes on without them where the process cannot be replaced, or V8 does not have them", (t) => {
  const old = `
    import { writeFileSync } from "node:fs";
    const node = import.meta.dirname + "/node";
    writeFileSync(node, "#!/bin/sh\\nexit 9\\n", { mode: 0o755 });
    process.execPath = node;`;
  for (const claim of ["process.execve = undefined;", old]) {
    const files = { "src/main.ts": main, "claim.mjs": claim };
    assert.equal(millpond(t, files, process.versions.node, ["serve"]).stdout, "runs false");
  }
});

test("a server that Node.js profiles goes on without them: a sample's signal would end the process that replaces it", (t) => {
  const env = { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${temporaryFolder(t)}` };
  const { status, stdout } = millpond(t, { "src/main.ts": main }, process.versions.node, ["serve"], env);
  assert.deepEqual([status, stdout], [0, "runs false"]);
});

test("a published package says in one line that Node.js is too old", (t) => {
  const { status, stdout, stderr } = millpond(t, published, "20.20.2");
  assert.equal(stdout, "");
  assert.equal(
    stderr,
    "millpond needs Node.js 24.15 or newer and this is 20.20.2: install one from https://nodejs.org\n",
  );
  assert.equal(status, 1);
});

/** Runs `millpond` from a package of these files, on a Node.js that claims to be of this version. */
function millpond(
  t: TestContext,
  files: { readonly [path: string]: string },
  version: string,
  given: readonly string[] = ["stats", "--json"],
  env: NodeJS.ProcessEnv = {},
) {
  const folder = temporaryFolder(t);
  const claim = join(folder, "claim.mjs");
  const all = {
    "package.json": '{"type":"module"}',
    "claim.mjs": `Object.defineProperty(process.versions, "node", { value: "${version}" });`,
    ...files,
  };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  mkdirSync(join(folder, "src"), { recursive: true });
  copyFileSync(launch, join(folder, "src/launch.mjs"));
  const args = ["--import", claim, join(folder, "src/launch.mjs"), ...given];
  return spawnSync(process.execPath, args, { encoding: "utf8", env: { ...process.env, ...env } });
}
